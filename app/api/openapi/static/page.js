// Show the document of the API, asking for a key if the service wants one; "Try it out" sends the same key.

import { get, usedKey } from "../console/api.js";

const place = document.getElementById("swagger-ui");

try {
  const spec = await get("openapi.json");
  const ui = SwaggerUIBundle({
    domNode: place,
    spec,
    deepLinking: true,
    presets: [SwaggerUIBundle.presets.apis],
    onComplete: () => usedKey() && ui.preauthorizeApiKey("key", usedKey()),
  });
} catch (error) {
  place.setAttribute("role", "alert");
  place.textContent = `${error.message} Load the page again to try again.`;
}
