import { startCodec } from "./codec/client";
import { ServerFiller } from "./fill/server_filler";
import { askForToken } from "./ui/dialogs";
import { Editor } from "./ui/editor";
import "./style.css";

const codec = startCodec();
new Editor(codec, new ServerFiller(codec, askForToken));
