// Opened from the disk, browsers do not run the page's modules: say how to serve it.
if (location.protocol === "file:") {
  const hint = document.createElement("p");
  hint.setAttribute("role", "alert");
  hint.style.cssText = "position:fixed;inset:0;z-index:9;margin:0;padding:2rem;background:#fff;color:#111;font:1.125rem/1.6 sans-serif";
  hint.innerText =
    "WavePaint does not work from the disk: a browser needs a web server for it.\n\n" +
    "In a terminal, in the folder of this file:\n\n    python3 -m http.server 8000\n\nThen open http://localhost:8000/";
  document.body.append(hint);
}
