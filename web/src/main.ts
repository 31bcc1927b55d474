import { startCodec } from "./codec/client";
import { Device } from "./device/device";
import { overrides } from "./device/overrides";
import { DeviceFiller } from "./fill/device_filler";
import { Server } from "./fill/server";
import { ServerFiller } from "./fill/server_filler";
import { keepForOffline } from "./offline";
import { askForToken } from "./ui/dialogs";
import { Editor } from "./ui/editor";
import { answerHost } from "./ui/embedded";
import { wordsOf } from "./ui/notices";
import { Places } from "./ui/places";
import { loadSettings } from "./ui/settings";
import "./style.css";

// Only the page of a server has this note; a static site is built without it.
const serverUrl = document.querySelector<HTMLMetaElement>('meta[name="wavepaint-server"]')?.content;
const codec = startCodec();
const settings = loadSettings();
const device = new Device({ base: new URL("./", document.baseURI).href, ...overrides(location.href) });
const server = serverUrl ? new Server(askForToken, new URL(serverUrl, document.baseURI)) : null;
const serverFiller = server && new ServerFiller(codec, server);
const places = new Places(serverFiller, new DeviceFiller(device), device, settings);
const editor = new Editor(codec, places, serverFiller, settings);
device.onMoved = () => {
  places.refresh();
  editor.notices.warn("The graphics processor has failed. Filling continues without it.");
};
answerHost(editor);
if (!server) void keepForOffline(device.options, (words) => editor.notices.sayInTurn(words));
void openFirst().catch((error: unknown) => editor.notices.warn(`${wordsOf(error)}.`));

/** Open the files that the server was started with, or offer the work of the last visit. */
async function openFirst(): Promise<void> {
  const paths = server ? new URLSearchParams(location.search).getAll("open") : [];
  const given = paths.filter((path) => path.startsWith("opened/"));
  if (!server || given.length === 0) return editor.offerStored();
  const files = given.map(async (path) => {
    const blob = await server.fetch(path, new AbortController().signal);
    return new File([blob], decodeURIComponent(path.split("/").at(-1) as string), { type: blob.type });
  });
  await editor.open(await Promise.all(files));
}
