"""Strings that have run as script on some page or other. Ours shows them as they are written."""

# ruff: noqa: E501, RUF001 - they are what they are

_TAGS = (
    "script", "img src=x onerror={run}", "svg onload={run}", "svg/onload={run}", "body onload={run}",
    "iframe src=javascript:{run}", "iframe srcdoc='<script>{run}</script>'", "object data=javascript:{run}",
    "embed src=javascript:{run}", "a href=javascript:{run}", "a href='java\tscript:{run}'", "a href='&#106;avascript:{run}'",
    "form action=javascript:{run}><input type=submit", "input onfocus={run} autofocus", "select onfocus={run} autofocus",
    "textarea onfocus={run} autofocus", "details open ontoggle={run}", "video src=x onerror={run}", "audio src=x onerror={run}",
    "video><source onerror={run}", "marquee onstart={run}", "style onload={run}", "link rel=stylesheet href=javascript:{run}",
    "meta http-equiv=refresh content='0;url=javascript:{run}'", "base href=javascript:{run}//", "isindex type=image src=1 onerror={run}",
    "math><mi//xlink:href='javascript:{run}'", "svg><animate onbegin={run} attributeName=x dur=1s", "svg><script>{run}</script",
    "svg><a xlink:href=javascript:{run}><text>x</text></a", "table background=javascript:{run}", "div style='background:url(javascript:{run})'",
    "div style='width:expression({run})'", "button onclick={run}", "img src='x' onerror='{run}'", "img/src/onerror={run}",
    "IMG SRC=JaVaScRiPt:{run}", "img src=x:x onerror\n={run}", "template><script>{run}</script></template", "noscript><p title='</noscript><img src=x onerror={run}>'",
    "xss onpointerover={run} style=position:fixed;inset:0", "img srcset=x onerror={run}", "portal src=javascript:{run}", "dialog open oncancel={run}",
)  # fmt: skip
_OTHERS = (
    "<script>ran()</script>", "<scr<script>ipt>ran()</scr</script>ipt>", "'\"><script>ran()</script>", "</textarea><script>ran()</script>",
    "</title><script>ran()</script>", "<!--<img src=--><img src=x onerror=ran()>", "<![CDATA[<script>ran()</script>]]>", "{{constructor.constructor('ran()')()}}",
    "${ran()}", "#{ran()}", "<%= ran() %>", "javascript:ran()", "data:text/html,<script>ran()</script>", "vbscript:ran()",
    "https://example.org/\"onmouseover=\"ran()", "https://example.org/?q=<script>ran()</script>", "[x](javascript:ran())", "![x](x\"onerror=\"ran())",
    "@<img src=x onerror=ran()>", "`<img src=x onerror=ran()>`", "**<svg onload=ran()>**", "&lt;script&gt;ran()&lt;/script&gt;",
    "%3Cscript%3Eran()%3C/script%3E", "\\u003cscript\\u003eran()\\u003c/script\\u003e", "\u202e<script>ran()</script>", "<ſcript>ran()</ſcript>",
)  # fmt: skip

STRINGS = tuple(f"<{tag.format(run='ran()')}>" for tag in _TAGS) + _OTHERS
