/** The title of the window: what one looks at, before the name of the service. */

import { useEffect } from "preact/hooks";
import { texts } from "../texts";

export function useTitle(title: string): void {
  useEffect(() => {
    document.title = title ? `${title} · ${texts.name}` : texts.name;
  }, [title]);
}
