// Shows the contract; keys that are typed in live in this page alone and end with it.
window.addEventListener("load", () => {
  window.ui = SwaggerUIBundle({
    url: "openapi.json",
    dom_id: "#contract",
    deepLinking: true,
    docExpansion: "list",
    filter: true,
    persistAuthorization: false,
    presets: [SwaggerUIBundle.presets.apis],
    showMutatedRequest: false,
    tryItOutEnabled: false,
    validatorUrl: null,
  });
});
