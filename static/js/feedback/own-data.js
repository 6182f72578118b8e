// Delete all own chats, after one question, because nothing of it can be taken back.

import { api } from "lib/api";
import { $, on, toast } from "lib/dom";

export function offerErasing(opener) {
  const dialog = $("#erase-dialog");
  if (!opener || !dialog) return;
  on(opener, "click", () => dialog.showModal());
  on($("[data-confirm]", dialog), "click", async (event) => {
    const button = event.currentTarget;
    button.disabled = true;
    try {
      await api.delete("/api/own-data/");
      sessionStorage.clear();
      for (const key of Object.keys(localStorage)) {
        if (key.startsWith("signal:")) localStorage.removeItem(key);
      }
      location.assign("/");
    } catch (error) {
      dialog.close();
      button.disabled = false;
      toast(error.message, { seconds: 8 });
    }
  });
}
