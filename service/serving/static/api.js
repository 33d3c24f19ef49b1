// Ask this server. Paths are relative, so that the page also works behind a path of somebody else's server.
import { useEffect, useState } from "./dom.js";

/** An answer that is not a success, in the server's own words. */
export class ServerError extends Error {
  constructor(status, error) {
    super(error?.message || `the server answered ${status}`);
    this.status = status;
    this.field = error?.field;
  }
}

const TOKEN = "segserve-token";

/** Keep the server's token for as long as this tab is open, and nowhere else. */
export const keepToken = (token) => sessionStorage.setItem(TOKEN, token);
export const forgetToken = () => sessionStorage.removeItem(TOKEN);
export const hasToken = () => sessionStorage.getItem(TOKEN) !== null;

function withToken(options) {
  const token = sessionStorage.getItem(TOKEN);
  return token === null ? options : { ...options, headers: { ...options?.headers, Authorization: `Bearer ${token}` } };
}

/** Fetch, and throw a ServerError for anything but a success. */
export async function ask(path, options) {
  let response;
  try {
    response = await fetch(path, withToken(options));
  } catch (cause) {
    if (cause.name === "AbortError") throw cause;
    throw new ServerError(0, { message: "the server cannot be reached; is it still running?" });
  }
  if (response.ok) return response;
  const document = await response.json().catch(() => null);
  throw new ServerError(response.status, document?.error);
}

export async function askJson(path, options) {
  return (await ask(path, options)).json();
}

/** Return {value, error} of a path, asked anew whenever the path changes; a path of null asks nothing. */
export function useAnswer(path) {
  const [answer, setAnswer] = useState({ path, value: null, error: null });
  useEffect(() => {
    if (path === null) return undefined;
    const stop = new AbortController();
    askJson(path, { signal: stop.signal }).then(
      (value) => setAnswer({ path, value, error: null }),
      (error) => error.name !== "AbortError" && setAnswer({ path, value: null, error }),
    );
    return () => stop.abort();
  }, [path]);
  return answer.path === path ? answer : { path, value: null, error: null };
}
