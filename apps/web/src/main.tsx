// The page's beginning: styles, theme, the app, and the service worker behind it.
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./app.tsx";
import { registerServiceWorker } from "./offline/register.ts";
import "./styles/index.css";
import { applyTheme } from "./theme.ts";

applyTheme();
const place = document.getElementById("root");
if (place) {
  createRoot(place).render(
    <StrictMode>
      <App />
    </StrictMode>,
  );
}
registerServiceWorker();
