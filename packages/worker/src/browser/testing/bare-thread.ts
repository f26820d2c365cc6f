// The worker file of the bare page.
import "../device-worker.ts";
