//! Templates that would hang, fill the memory or break the stack end with an error instead. All run on a thread with the
//! stack that worker threads have.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::{Duration, Instant};

use narthex_template::{Context, HtmlTemplate, Limits, MissingKey, NoQueries, Template, Value};

const STACK_BYTES: usize = 2 << 20;
const LIMITS: Limits = Limits { steps: 200_000, bytes: 4 << 20 };

fn context() -> Context<'static> {
    Context { now_ms: 0, external_url: "", path_prefix: "", query: &NoQueries, missing_key: MissingKey::Zero }
}

fn expand(text: &str, html: bool) -> String {
    let text = text.to_owned();
    let run = move || {
        let out = if html {
            HtmlTemplate::parse("t", &text, &[])
                .and_then(|template| template.expand_within(&Value::Nil, &context(), LIMITS))
        } else {
            Template::parse("t", &text)
                .and_then(|template| template.expand_within(&Value::Nil, &context(), LIMITS))
        };
        out.unwrap_or_else(|error| error.to_string())
    };
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(run).unwrap();
    thread.join().unwrap()
}

#[track_caller]
fn check(text: &str, html: bool, want: &str) {
    let start = Instant::now();
    let got = expand(text, html);
    assert!(got.contains(want), "{}: {}", &text[..text.len().min(80)], &got[..got.len().min(200)]);
    assert!(start.elapsed() < Duration::from_secs(30), "took {:?}", start.elapsed());
}

fn nested(open: &str, middle: &str, close: &str, depth: usize) -> String {
    format!("{}{middle}{}", open.repeat(depth), close.repeat(depth))
}

#[test]
fn texts_that_nest_without_end_are_refused_and_deep_ones_run() {
    for html in [false, true] {
        check(&nested("{{ if true }}", "x", "{{ end }}", 100_000), html, "max expression depth exceeded");
        check(&nested("{{ if true }}", "x", "{{ end }}", 145), html, "x");
        check(&nested("{{ if true }}{{ else }}", "x", "{{ end }}", 145), html, "");
        check(
            &format!("{{{{ {} }}}}", nested("(", "1", ")", 100_000)),
            html,
            "max expression depth exceeded",
        );
        check(&format!("{{{{ {} }}}}", nested("(", "1", ")", 100)), html, "1");
        check(
            &format!("{{{{ {} }}}}", nested("(", "1", ")", 145)),
            html,
            "template expressions nest too deep",
        );
        check(&format!("{{{{ {} }}}}", nested("(print ", "1", ")", 100)), html, "1");
        let chain = format!("{{{{ if false }}}}{}{{{{ end }}}}", "{{ else if false }}a".repeat(140));
        check(&chain, html, "");
    }
}

#[test]
fn templates_that_call_themselves_end() {
    for html in [false, true] {
        let forever = "{{ define \"r\" }}{{ template \"r\" }}{{ end }}{{ template \"r\" }}";
        check(forever, html, "exceeded maximum template depth (100000)");
        let tree = "{{ define \"r\" }}{{ range 2 }}{{ template \"q\" . }}{{ end }}{{ end }}{{ define \"q\" }}{{ range 99 }}\
                    {{ range 99 }}{{ range 99 }}x{{ end }}{{ end }}{{ end }}{{ end }}{{ template \"r\" . }}";
        check(tree, html, "template takes too many steps");
    }
    check("{{ define \"r\" }}{{ tmpl \"r\" . }}{{ end }}{{ tmpl \"r\" . }}", true, "nest too deep");
}

#[test]
fn loops_and_texts_are_bounded() {
    check("{{ range 9223372036854775807 }}{{ end }}", false, "template takes too many steps");
    check("{{ range 100000 }}{{ range 100000 }}{{ end }}{{ end }}", false, "template takes too many steps");
    check("{{ range 1000 }}{{ printf \"%100000d\" 1 }}{{ end }}", false, "template makes too much text");
    let doubling = "{{ $x := \"0123456789\" }}{{ range 60 }}{{ $x = printf \"%s%s\" $x $x }}{{ end }}";
    check(doubling, false, "template makes too much text");
    check(&format!("{doubling}{{{{ $x }}}}"), true, "template makes too much text");
    let one = format!("{{{{ printf \"{}\" {} }}}}", "%1000000d".repeat(2000), "1 ".repeat(2000));
    check(&one, false, "template makes too much text");
    let replace = "{{ $x := printf \"%1000000d\" 1 }}{{ reReplaceAll \" \" $x $x | len }}";
    check(replace, false, "the replaced text is too long");
    check("{{ $x := printf \"%100000d\" 1 }}{{ range 50 }}{{ $x = html $x | js }}{{ end }}", false, "");
    check("{{ printf \"%.1000000f\" 1.5 | len }}", false, "1000002");
}

#[test]
fn pages_whose_contexts_multiply_are_refused() {
    let loops = nested("{{ range 1 }}", "<a href=\"{{ . }}\">", "{{ end }}", 60);
    check(&loops, true, "too complex");
    let chain: String = (0..2000)
        .map(|i| format!("{{{{ define \"t{i}\" }}}}{{{{ template \"t{}\" }}}}{{{{ end }}}}", i + 1))
        .collect();
    check(
        &format!("{chain}{{{{ define \"t2000\" }}}}x{{{{ end }}}}{{{{ template \"t0\" }}}}"),
        true,
        "nest too deep",
    );
}
