/** Asks for the API key when the service wants one. */

import { useEffect, useRef } from "preact/hooks";
import { forgetKey, giveKey, key, refuseKey, wanted } from "../api/key";
import { texts } from "../texts";

export function KeyDialog() {
  const dialog = useRef<HTMLDialogElement>(null);
  const input = useRef<HTMLInputElement>(null);
  const why = wanted.value;
  useEffect(() => {
    if (why && !dialog.current?.open) dialog.current?.showModal();
    if (!why && dialog.current?.open) dialog.current.close();
  }, [why]);
  const submit = (event: Event) => {
    event.preventDefault();
    if (input.current?.value.trim()) giveKey(input.current.value);
  };
  const forget = () => {
    forgetKey();
    refuseKey();
  };
  return (
    <dialog ref={dialog} onCancel={refuseKey} aria-labelledby="key-title">
      <form onSubmit={submit}>
        <h2 id="key-title">{texts.key.title}</h2>
        <p>{why && texts.key[why]}</p>
        <label>
          <span class="label">{texts.key.label}</span>
          <input ref={input} type="password" autocomplete="off" required spellcheck={false} />
        </label>
        <p class="help">{texts.key.kept}</p>
        <div class="row">
          <button type="submit" class="primary">
            {texts.key.go}
          </button>
          <button type="button" onClick={refuseKey}>
            {texts.key.cancel}
          </button>
          {why === "changing" && key.value && (
            <button type="button" onClick={forget}>
              {texts.key.forget}
            </button>
          )}
        </div>
      </form>
    </dialog>
  );
}
