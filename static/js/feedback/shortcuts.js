// The keys of the chat; most press the button that is there anyway, so what is hidden does nothing.

import { $, $$ } from "lib/dom";
import { Keys } from "lib/keys";

export function bindKeys(words, { write, search, share, stop, rename }) {
  const newest = (role) => $$(`.message[data-role="${role}"]:not([data-pending])`).at(-1);
  const button = (role, selector) => () => {
    const found = newest(role) && $(selector, newest(role));
    return found && !found.hidden && !found.disabled ? found : null;
  };
  const pressing = (key, label, find) => ({
    key, label, group: words.groupAnswer, when: () => Boolean(find()), run: () => find().click(),
  });
  const version = (side) => () => {
    const box = newest("assistant") && $(".versions:not([hidden])", newest("assistant"));
    const found = box && $$("button", box).at(side);
    return found && !found.disabled ? found : null;
  };
  const chats = { group: words.groupChat };
  return new Keys([
    { key: "/", label: words.keyWrite, run: write, ...chats },
    { key: "n", label: words.keyNew, run: () => location.assign("/"), ...chats },
    { key: "k", label: words.keySearch, run: search, ...chats },
    { key: "s", label: words.keyShare, run: share, ...chats },
    { key: "t", label: words.keyRename, run: rename, ...chats },
    pressing("1", words.keyLove, button("assistant", '[data-reaction="love"]')),
    pressing("2", words.keyLike, button("assistant", '[data-reaction="like"]')),
    pressing("3", words.keyDislike, button("assistant", '[data-reaction="dislike"]')),
    pressing("c", words.keyCopy, button("assistant", '[data-action="copy"]')),
    pressing("r", words.keyAgain, button("assistant", '[data-action="regenerate"]')),
    pressing("e", words.keyEdit, button("user", '[data-action="edit"]')),
    pressing("[", words.keyPrevious, version(0)),
    pressing("]", words.keyNext, version(-1)),
    {
      key: "Escape", label: words.keyStop, group: words.groupAnswer, run: stop,
      when: () => $("#composer").dataset.mode === "stop",
    },
  ]);
}
