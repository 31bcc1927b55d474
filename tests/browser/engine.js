// Works through work.json with the site beside it, and sends what came of it back.

const STROKE = [[30, 30], [50, 35], [70, 40], [65, 48], [60, 55]];

const bytesOf = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));

function textOf(bytes) {
    let text = "";
    for (let i = 0; i < bytes.length; i += 32768) text += String.fromCharCode(...bytes.subarray(i, i + 32768));
    return btoa(text);
}

const blobText = async (blob) => textOf(new Uint8Array(await blob.arrayBuffer()));

async function fillCase(inpaint, { data, mask, wide, detail, name, ...size }) {
    const raw = bytesOf(data);
    const image = { ...size, data: wide ? new Uint16Array(raw.buffer) : raw };
    const filled = await inpaint(image, { width: size.width, height: size.height, data: bytesOf(mask) }, { detail });
    return textOf(new Uint8Array(filled.data.buffer));
}

async function until(what, condition, status) {
    const end = Date.now() + 60_000;
    while (!condition()) {
        if (Date.now() > end) throw new Error(`waited for ${what}; the page says: ${status?.textContent}`);
        await new Promise((resolve) => setTimeout(resolve, 50));
    }
}

function drag(stage, points) {
    const { PointerEvent } = stage.ownerDocument.defaultView;
    const send = (type, [x, y], buttons) =>
        stage.dispatchEvent(
            new PointerEvent(type, {
                pointerId: 1,
                pointerType: "mouse",
                isPrimary: true,
                bubbles: true,
                cancelable: true,
                clientX: x,
                clientY: y,
                button: type === "pointermove" ? -1 : 0,
                buttons,
            }),
        );
    send("pointerdown", points[0], 1);
    for (const point of points.slice(1)) send("pointermove", point, 1);
    send("pointerup", points[points.length - 1], 0);
}

const frameOf = (editor) => editor.shadowRoot.querySelector("iframe");

/** The addresses of all files that are kept, once those of the runtime are, which come last. */
async function keptFiles() {
    const addresses = async () => {
        const all = await Promise.all((await caches.keys()).map(async (name) => (await caches.open(name)).keys()));
        return all.flat().map(({ url }) => url);
    };
    let kept = [];
    for (let i = 0; i < 300 && kept.filter((url) => url.includes("/ort-wasm-")).length < 2; i++) {
        await new Promise((resolve) => setTimeout(resolve, 100));
        kept = await addresses();
    }
    return kept;
}

/** Open a file in the editor, draw a stroke, press Fill; the mask and the result. */
async function retouch(editor, { name, data }) {
    await editor.open(new File([bytesOf(data)], name, { type: "image/png" }));
    const within = frameOf(editor).contentDocument;
    const stage = within.querySelector("[role=application]");
    const box = stage.getBoundingClientRect();
    const [width, height] = within.querySelector("#image-size").textContent.split(" × ").map(Number);
    const scale = Math.min((box.width - 32) / width, (box.height - 32) / height, 3);
    const toScreen = ([x, y]) => [
        box.x + box.width / 2 + (x - width / 2) * scale,
        box.y + box.height / 2 + (y - height / 2) * scale,
    ];
    stage.setPointerCapture = () => undefined; // refused for events that a script makes
    drag(stage, STROKE.map(toScreen));
    const fill = [...within.querySelectorAll("button")].find((button) => button.textContent.trim() === "Fill");
    const status = within.querySelector("[role=status]");
    let filled = false;
    editor.addEventListener("change", () => (filled = true), { once: true });
    await until("the Fill button", () => !fill.disabled, status);
    fill.click();
    await until("the fill", () => filled, status);
    return { mask: await blobText(await editor.mask()), result: await blobText(await editor.result()) };
}

const answers = {
    agent: navigator.userAgent,
    cores: navigator.hardwareConcurrency,
    isolated: self.crossOriginIsolated,
    cases: {},
    files: {},
    failure: null,
};
try {
    const { inpaint, load } = await import("./site/wavepaint.js"); // which also defines the element
    const work = await (await fetch("work.json")).json();
    answers.engine = await load();
    for (const item of work.cases) answers.cases[item.name] = await fillCase(inpaint, item);
    localStorage.wavepaint = JSON.stringify({ fillOnRelease: false });
    const editor = document.createElement("wavepaint-editor");
    editor.style.cssText = "display: block; width: 1000px; height: 600px";
    document.body.append(editor);
    for (const file of work.files) answers.files[file.name] = await retouch(editor, file);
    const { serviceWorker } = frameOf(editor).contentWindow.navigator;
    await until("the service worker", () => serviceWorker.controller);
    answers.served = true;
    answers.kept = await keptFiles();
} catch (error) {
    answers.failure = `${error.name}: ${error.message}`;
}
await fetch("answers", { method: "POST", body: JSON.stringify(answers) });
