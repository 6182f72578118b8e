// Reactions on any page: <script src="…/static/js/widget/reactions.js" data-key="pk-…" defer></script>
// and <span data-preferendum="COMPLETION_ID"></span> wherever an answer stands. The key needs the
// scope "react" only. Reactions that cannot be told now are told when the page is next open.
(() => {
  const script = document.currentScript;
  const door = new URL("/v1/feedback", script.src).href;
  const box = "preferendum:unsent";
  const read = () => { try { return JSON.parse(localStorage.getItem(box)) ?? []; } catch { return []; } };
  const write = (left) => { try { localStorage.setItem(box, JSON.stringify(left)); } catch { /* no storage */ } };
  const tell = (body) => fetch(door, {
    method: "POST", keepalive: true, credentials: "omit", body: JSON.stringify(body),
    headers: { Authorization: `Bearer ${script.dataset.key}`, "Content-Type": "application/json" },
  }).then((answer) => { if (answer.status >= 500) throw new Error(answer.status); return answer.ok; });
  const send = (body) => tell(body).catch(() => { write([...read().slice(-99), body]); return true; });
  const mount = (place) => {
    if (place.childElementCount) return;
    for (const [reaction, sign, label] of [["like", "👍", "Good answer"], ["dislike", "👎", "Bad answer"]]) {
      const button = Object.assign(document.createElement("button"), { type: "button", textContent: sign, title: label });
      button.setAttribute("aria-label", label);
      button.setAttribute("aria-pressed", "false");
      button.addEventListener("click", async () => {
        const value = button.getAttribute("aria-pressed") === "true" ? { value: 0 } : { reaction };
        const done = await send({ completion_id: place.dataset.preferendum, id: crypto.randomUUID?.(), ...value });
        for (const other of place.children) other.setAttribute("aria-pressed", String(done && other === button && "reaction" in value));
      });
      place.append(button);
    }
  };
  const mountAll = () => document.querySelectorAll("[data-preferendum]").forEach(mount);
  new MutationObserver(mountAll).observe(document.documentElement, { childList: true, subtree: true });
  mountAll();
  const unsent = read(); write([]); unsent.forEach(send);
})();
