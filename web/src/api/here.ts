/** Addresses of the service as seen from this page, whatever name the service has for itself. */

/** Return an address below /jobs/ relative to where this page came from; its query, with the signature, is kept. */
export function here(href: string): string {
  const start = href.indexOf("/jobs/");
  return start < 0 ? href : base() + href.slice(start + 1);
}

export function base(): string {
  return new URL(".", document.baseURI).href;
}
