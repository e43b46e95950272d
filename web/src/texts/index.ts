/** The page's texts in the reader's language: a further language is one file like en.ts, named here. */

import { en } from "./en";

export type Texts = typeof en;

const LANGUAGES: Record<string, Texts> = { en };

function chosen(): Texts {
  const wished = typeof navigator === "undefined" ? [] : navigator.languages;
  for (const language of wished) {
    const found = LANGUAGES[language.slice(0, 2)];
    if (found) return found;
  }
  return en;
}

export const texts = chosen();
