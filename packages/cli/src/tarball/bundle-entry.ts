// Where the bundled program begins: it starts when it is loaded. A checkout starts in
// bin/manyhands.mjs.
import { start } from "../main.ts";

await start();
