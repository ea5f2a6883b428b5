package manifest_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wadm/tenancy/manifest"
)

// app is a manifest with the given components, each a flow mapping or a block.
func app(components ...string) string {
	s := "apiVersion: core.oam.dev/v1beta1\nkind: Application\nmetadata: {name: app, annotations: {version: v1}}\nspec:\n  components:\n"
	for _, c := range components {
		s += "  - " + strings.ReplaceAll(strings.TrimSpace(c), "\n", "\n    ") + "\n"
	}
	return s + "  policies:\n" +
		"  - {name: vault, type: policy.secret.wasmcloud.dev/v1alpha1, properties: {backend: nats-kv}}\n" +
		"  - {name: odd, type: other, properties: {backend: nats-kv}}\n" +
		"  - {name: bare, type: policy.secret.wasmcloud.dev/v1alpha1, properties: {}}\n"
}

// with is a component c with one trait, next to a component d to link to.
func with(kind, properties string) string {
	return app("{name: d, type: component, properties: {image: i}}",
		"{name: c, type: component, properties: {image: i}, traits: [{type: "+kind+", properties: "+properties+"}]}")
}

func failures(m *manifest.Manifest) []string {
	var out []string
	for _, f := range m.Validate() {
		out = append(out, f.String())
	}
	return out
}

func TestValidateAppliesUpstreamsRulesInOrder(t *testing.T) {
	t.Parallel()
	const linkTo = "namespace: wasi, package: http, interfaces: [incoming-handler]"
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"nothing":                        {app(), nil},
		"custom trait":                   {with("acme", "{x: 1}"), nil},
		"link shape under a scaler type": {with("spreadscaler", "{"+linkTo+", target: d}"), nil},
		"link shape of any type needs its target": {with("acme", "{"+linkTo+", target: z}"), []string{
			`[error] The following capability component(s) are missing from the manifest: ["z"]`,
		}},
		"missing targets are listed once each": {app(
			"{name: c, type: component, properties: {image: i}, traits: [{type: link, properties: {" + linkTo + ", name: n, target: z}}, {type: link, properties: {" + linkTo + ", target: a}}, {type: x, properties: {" + linkTo + ", target: z}}]}"), []string{
			`[error] The following capability component(s) are missing from the manifest: ["a", "z"]`,
			"[warning] link (name [n]) target [z] is not a listed component",
			"[warning] link (target [a]) target [a] is not a listed component",
		}},
		"link without target": {with("link", "{"+linkTo+", target: ~}"), []string{
			"[error] custom link is missing 'target' name property",
			`[error] Link trait deserialized as custom trait, ensure fields are correct: {"interfaces":["incoming-handler"],"namespace":"wasi","package":"http","target":null}`,
		}},
		"link without anything": {with("link", "{}"), []string{
			"[error] custom link is missing 'target' property",
			"[error] Link trait deserialized as custom trait, ensure fields are correct: {}",
		}},
		"link that is no object": {with("link", "[x]"), []string{
			"[error] custom link is missing 'target' property",
			`[error] Link trait deserialized as custom trait, ensure fields are correct: ["x"]`,
		}},
		"malformed link to a known and an unknown target": {app(
			"{name: c, type: component, properties: {image: i}, traits: [{type: link, properties: {target: {name: c}}}, {type: link, properties: {target: {name: q}}}]}"), []string{
			"[warning] custom link target [q] is not a listed component",
			`[error] Link trait deserialized as custom trait, ensure fields are correct: {"target":{"name":"c"}}`,
			`[error] Link trait deserialized as custom trait, ensure fields are correct: {"target":{"name":"q"}}`,
		}},
		"D1 link with the shape of a scaler": {with("link", "{replicas: 1}"), []string{
			`[error] Link trait deserialized as custom trait, ensure fields are correct: {"instances":1}`,
		}},
		"D1 link with a namespace that is no text": {with("link", "{namespace: 5, package: http, interfaces: [x], target: {name: d}}"), []string{
			`[error] Link trait deserialized as custom trait, ensure fields are correct: {"interfaces":["x"],"namespace":5,"package":"http","target":{"name":"d"}}`,
		}},
		"D1 link with a null name": {with("link", "{namespace: a, package: b, interfaces: [], name: ~, target: {name: d}}"), []string{
			`[error] Link trait deserialized as custom trait, ensure fields are correct: {"interfaces":[],"name":null,"namespace":"a","package":"b","target":{"name":"d"}}`,
		}},
		"D1 link with interfaces that are no list": {with("acme", "{namespace: a, package: b, interfaces: x, target: {name: d}}"), nil},
		"D2 spread without requirements":           {with("spreadscaler", "{instances: 1, spread: [{name: a}]}"), nil},
		"D10 weights that sum to zero":             {with("spreadscaler", "{instances: 1, spread: [{name: a, requirements: {}, weight: 0}]}"), nil},
		"numbers keep their form": {with("daemonscaler", "{instances: 1.0}"), []string{
			`[error] Scaler trait deserialized as custom trait, ensure fields are correct: {"instances":1.0}`,
		}},
		"both names of the count": {with("spreadscaler", "{instances: 1, replicas: 1}"), []string{
			`[error] Scaler trait deserialized as custom trait, ensure fields are correct: {"instances":1,"replicas":1}`,
		}},
		"unknown interface in known and unknown namespaces": {with("link", "{namespace: wasi, package: http, interfaces: [x, incoming-handler], target: d}"), []string{
			"[warning] unrecognized interface [wasi:http/x]",
		}},
		"secrets: target, source, own": {app(`
name: c
type: component
properties: {image: i, secrets: [{name: s1, properties: {policy: odd, key: k}}, {name: ok, properties: {policy: vault, key: k}}]}
traits:
- type: link
  properties:
    namespace: a
    package: b
    interfaces: [x]
    source: {secrets: [{name: s2, properties: {policy: bare, key: k}}]}
    target: {name: c, secrets: [{name: s3, properties: {policy: none, key: k}}]}`), []string{
			"[error] secret 's3' is mapped to unknown policy 'none'",
			"[error] secret 's2' is mapped to policy 'bare' which does not include a 'backend' property",
			"[error] secret 's1' is mapped to policy 'odd' which is not a secret policy. Expected type 'policy.secret.wasmcloud.dev/v1alpha1'",
		}},
		"sources: one complaint per component": {app(
			"{name: a, type: component, properties: {image: '', application: {name: s, component: x}, config: [{name: q}]}}",
			"{name: b, type: capability, properties: {}}",
			"{name: c, type: component, properties: {application: {name: s, component: x}, config: [{name: q}], secrets: [{name: s, properties: {policy: vault, key: k}}]}}",
			"{name: d, type: component, properties: {application: {name: s, component: x}, secrets: [{name: s, properties: {policy: vault, key: k}}]}, traits: [{type: spreadscaler, properties: {instances: 1}}]}",
			"{name: e, type: component, properties: {application: {name: s, component: x}}, traits: [{type: daemonscaler, properties: {instances: 1}}]}",
			"{name: f, type: component, properties: {application: {name: s, component: x}}, traits: [{type: other, properties: {instances: 1}}]}"), []string{
			"[error] Component cannot have both 'image' and 'application' properties",
			"[error] Component must have either 'image' or 'application' property",
			"[error] Shared component 's' cannot specify additional 'config'",
			"[error] Shared component 's' cannot specify additional 'secrets'",
			"[error] Shared component 's' cannot include a scaler trait",
		}},
		"one interface twice in one link": {with("link", "{namespace: a, package: b, interfaces: [x, x], name: n, target: d}"), []string{
			"[error] Duplicate link found inside component 'c': n (a:b/x)",
		}},
		"link configs: only those with properties collide": {with("link",
			"{namespace: a, package: b, interfaces: [x], target: {name: d, config: [{name: p, properties: {}}, {name: q}]}, source: {config: [{name: q}, {name: p, properties: {a: b}}]}}"), []string{
			"[error] Duplicate link config name found: 'p'",
		}},
		"names and ids interleave": {app(
			"{name: a, type: component, properties: {image: i, id: x}}",
			"{name: a, type: capability, properties: {image: i, id: x}}",
			"{name: a, type: component, properties: {image: i}}"), []string{
			"[error] Duplicate component name in manifest: a",
			"[error] Duplicate component identifier in manifest: x",
			"[error] Duplicate component name in manifest: a",
		}},
	} {
		if diff := cmp.Diff(c.want, failures(parseYAML(t, c.text))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestMetadataKeysAndNames(t *testing.T) {
	t.Parallel()
	m := &manifest.Manifest{Metadata: manifest.Metadata{
		Name:        " app ",
		Annotations: map[string]string{"version": "latest", "-x": "y", "app.example.io/name": ""},
		Labels:      map[string]string{"z\n": "\"q\"", "a b": "x", "ok": "any thing", "dash-period.numb3r/any_v4lue": ""},
	}}
	want := []string{
		"[error] manifest name [ app ] is not allowed (should match regex [^[-\\w]+$])",
		"[error] latest is not allowed in wadm",
		`[error] Invalid OAM label: ("a b", "x")`,
		`[error] Invalid OAM label: ("z\n", "\"q\"")`,
		`[error] Invalid OAM annotation: ("-x", "y")`,
	}
	if diff := cmp.Diff(want, failures(m)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, bad := range []string{"my_prefix/app", "1p/app", "p-/app", "p/app.", "a/b/c", "", "/", "a/", "/a", "a..b/c", strings.Repeat("k", 64), strings.Repeat("a.", 127) + "/x"} {
		m := &manifest.Manifest{Metadata: manifest.Metadata{Name: "a", Labels: map[string]string{bad: ""}}}
		if len(m.Validate()) != 1 {
			t.Errorf("label key %q is taken", bad)
		}
	}
	for _, good := range []string{"a", "A_B", "-lead", "0", " padded "} {
		if err := manifest.CheckName(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{"", " ", "a b", "a.b", "ünï", "a/b", "*", ">", "a\n b"} {
		if manifest.CheckName(bad) == nil {
			t.Errorf("name %q is taken", bad)
		}
	}
}

func TestLongNamesDoNotMultiplyInMessages(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("é", 30_000)
	interfaces := strings.Repeat("x, ", 400)
	m := parseYAML(t, app("{name: "+long+", type: component, properties: {image: i}, traits: [{type: link, properties: {namespace: a, package: b, interfaces: ["+interfaces+"], target: "+long+"}}]}"))
	for _, f := range m.Validate() {
		if len(f.Message) > 2_000 {
			t.Fatalf("a message has %d bytes", len(f.Message))
		}
	}
}

func TestAdvicePointsAtWhatWillNotHappen(t *testing.T) {
	t.Parallel()
	m := parseYAML(t, app(
		"{name: a-b, type: component, properties: {image: i}, traits: [{type: spreadscaler, properties: {instances: 4294967296, spread: [{name: s, weight: 0}, {name: s, weight: 0}]}}]}",
		"{name: a_b, type: component, properties: {image: i}}",
		"{name: p, type: capability, properties: {image: i}, traits: [{type: link, properties: {namespace: a, package: b, interfaces: [], target: q}}]}",
		"{name: q, type: capability, properties: {image: i}, traits: [{type: SpreadScaler, properties: {instances: 1}}]}",
		"{name: r, type: component, properties: {image: i}, traits: [{type: spreadscaler, properties: {instances: 1}}, {type: daemonscaler, properties: {instances: 1}}]}",
		"{name: s, type: component, properties: {application: {name: x, component: y}}}",
	))
	want := []string{
		"component 'a-b' wants 4294967296 instances: hosts count to 4294967295",
		"component 'a-b' has more than one spread named 's': they are counted as one",
		"component 'a-b': all spreads have weight 0; they are taken as equal",
		"components 'a-b' and 'a_b' have the same id 'app-a_b': hosts cannot tell them apart",
		"component 'a_b' has no scaler trait and is never started",
		"the link from 'p' to 'q' joins two capabilities and is never made",
		"component 'q': trait type 'SpreadScaler' is unknown and has no effect; did you mean 'spreadscaler'?",
		"component 'r' has 2 scaler traits: they count the same instances and work against each other",
	}
	if diff := cmp.Diff(want, m.Advice()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := failures(m); got != nil {
		t.Errorf("advice became failures: %q", got)
	}
	m = parseYAML(t, app(
		"{name: http-component, type: component, properties: {image: i}, traits: [{type: spreadscaler, properties: {instances: 1}}]}",
		"{name: httpserver, type: capability, properties: {image: j}, traits: [{type: link, properties: {namespace: wasi, package: http, interfaces: [incoming-handler], target: http-component}}]}"))
	if got := m.Advice(); got != nil {
		t.Errorf("advice about nothing: %q", got)
	}
}
