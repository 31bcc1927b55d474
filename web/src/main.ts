import { startCodec } from "./codec/client";
import { Device } from "./device/device";
import { overrides } from "./device/overrides";
import { DeviceFiller } from "./fill/device_filler";
import { ServerFiller } from "./fill/server_filler";
import { keepForOffline } from "./offline";
import { askForToken } from "./ui/dialogs";
import { Editor } from "./ui/editor";
import { Places, wordsFor } from "./ui/places";
import { loadSettings } from "./ui/settings";
import { answerHost } from "./ui/embedded";
import "./style.css";

// Only the page of a server has this note; a static site is built without it.
const serverUrl = document.querySelector<HTMLMetaElement>('meta[name="wavepaint-server"]')?.content;
const codec = startCodec();
const settings = loadSettings();
const device = new Device({ base: new URL("./", document.baseURI).href, ...overrides(location.href) });
const server = serverUrl ? new ServerFiller(codec, askForToken, new URL(serverUrl, document.baseURI)) : null;
const places = new Places(server, new DeviceFiller(device), device, settings);
const editor = new Editor(codec, places, settings);
device.onMoved = (engine) => {
  places.refresh();
  editor.warn(`WebGPU has failed on this device. Filling goes on with ${wordsFor(engine)}.`);
};
answerHost(editor);
if (!server) void keepForOffline(device.options, (words) => editor.sayInTurn(words));
