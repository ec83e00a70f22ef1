/** The view library in one place: Preact, its hooks, signals, and htm as the template language. */
import { Fragment, h, render } from "../lib/preact.js";
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "../lib/hooks.js";
import { batch, computed, effect, signal, untracked, useComputed, useSignal } from "../lib/signals.js";
import htm from "../lib/htm.js";

const html = htm.bind(h);

export {
  Fragment, batch, computed, effect, html, render, signal, untracked,
  useComputed, useEffect, useLayoutEffect, useMemo, useRef, useSignal, useState,
};
