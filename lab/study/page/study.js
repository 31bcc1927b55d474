// Asks one question after the other. Every answer is kept by the server before the next question comes.

const element = (id) => document.getElementById(id);
const SIDES = ["left", "right"];
const KEYS = { ArrowLeft: "left", ArrowRight: "right", ArrowDown: "tie" };
const SAID = { left: "Left is better.", right: "Right is better.", tie: "No difference." };
const STORED = "wavepaint-study-participant";

const participant = stored() ?? invented();
let questions = 0;
let answers = {};
let current = 0;
let shownAt = 0;
let ready = false;

/** The name of this browser in this study, if it was here before. */
function stored() {
  try {
    return localStorage.getItem(STORED)?.match(/^[0-9a-f]{32}$/)?.[0];
  } catch {
    return undefined; // storage is switched off: a reload begins anew
  }
}

function invented() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  const name = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  try {
    localStorage.setItem(STORED, name);
  } catch {
    // see stored()
  }
  return name;
}

const address = (number, view = "") => `./participants/${participant}/${number}${view && `/${view}.png`}`;

async function loaded(source) {
  const image = new Image();
  image.src = source;
  await image.decode();
  return image.src;
}

const images = (number) => Promise.all(["input", ...SIDES].map((view) => loaded(address(number, view))));

/** Show a question; nothing can be answered before all its images are there. */
async function show(number, words = "") {
  ready = false;
  current = number;
  const finished = number >= questions;
  element("trial").hidden = finished;
  element("done").hidden = !finished;
  element("undo").disabled = number === 0;
  element("count").textContent = finished ? `${questions} of ${questions}` : `${number + 1} of ${questions}`;
  element("bar").max = questions;
  element("bar").value = Object.keys(answers).length;
  enable(false);
  if (finished) {
    element("status").textContent = words;
    element("done").querySelector("h2").focus();
    return;
  }
  try {
    const [input, left, right] = await images(number);
    if (number !== current) return;
    element("input").src = input;
    element("left-image").src = left;
    element("right-image").src = right;
  } catch {
    complain("The images of this question cannot be loaded.", () => show(number));
    return;
  }
  element("problem").hidden = true;
  element("status").textContent = `${words} Question ${number + 1} of ${questions}.`;
  shownAt = performance.now();
  ready = true;
  enable(true);
  if (number + 1 < questions) images(number + 1).catch(() => {});
}

async function answer(choice) {
  if (!ready) return;
  ready = false;
  enable(false);
  const number = current;
  const milliseconds = Math.min(Math.round(performance.now() - shownAt), 86_400_000);
  try {
    const kept = await fetch(address(number), {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ choice, milliseconds }),
    });
    if (!kept.ok) throw new Error(kept.statusText);
  } catch {
    ready = true;
    enable(true);
    complain("Your answer could not be kept. Please choose again.");
    return;
  }
  answers[number] = choice;
  await show(unanswered(number + 1), SAID[choice]);
}

/** The first question from this one on that has no answer. */
function unanswered(number) {
  while (number in answers) number += 1;
  return number;
}

function undo() {
  if (current > 0 && !element("undo").disabled) show(current - 1, "Back.");
}

function enable(able) {
  // aria-disabled, not disabled: a disabled button would lose the focus of people who use the keyboard.
  for (const id of [...SIDES, "tie"]) element(id).setAttribute("aria-disabled", String(!able));
}

function complain(words, again) {
  element("problem").textContent = words;
  element("problem").hidden = false;
  if (again) setTimeout(again, 3000);
}

/** Ask how far this participant is, and show the first question without an answer. */
async function start() {
  try {
    const found = await fetch(`./participants/${participant}`);
    if (!found.ok) throw new Error(found.statusText);
    ({ questions, answers } = await found.json());
  } catch {
    complain("The study does not answer. Trying again…", start);
    return;
  }
  element("problem").hidden = true;
  await show(unanswered(0));
}

for (const id of [...SIDES, "tie"]) element(id).addEventListener("click", () => answer(id));
element("undo").addEventListener("click", undo);
addEventListener("keydown", (event) => {
  if (event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key in KEYS) {
    event.preventDefault();
    answer(KEYS[event.key]);
  } else if (event.key === "Backspace") {
    event.preventDefault();
    undo();
  }
});
start();
