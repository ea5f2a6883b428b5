package manifest_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wadm/tenancy/manifest"
)

func parseYAML(t testing.TB, text string) *manifest.Manifest {
	t.Helper()
	m, err := manifest.Parse([]byte(text), manifest.ContentYAML, true, manifest.Budget{})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// inTrait puts a YAML value where types are resolved.
func inTrait(value string) string {
	return strings.Replace(app("{name: c, type: component, properties: {image: i}, traits: [{type: x, properties: PUT}]}"), "PUT", "{v: "+value+"}", 1)
}

func TestYAMLScalarsInPropertiesTakeTheTypeTheyLookLike(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"8080": "8080", "+5": "5", "-5": "-5", "0": "0", "-0": "0", "0x1F": "31", "0o17": "15", "0b11": "3", "-0x1F": "-31", "+0x1F": "31",
		"18446744073709551615": "18446744073709551615", "-9223372036854775808": "-9223372036854775808",
		"0123": `"0123"`, "00": `"00"`, "-00": `"-00"`, "+017": `"+017"`, "1_000": `"1_000"`, "0x": `"0x"`, "0x-1": `"0x-1"`, "1e": `"1e"`, "1.2.3": `"1.2.3"`,
		"'127.0.0.1:80'": `"127.0.0.1:80"`, "2001-01-01": `"2001-01-01"`, "yes": `"yes"`, "off": `"off"`, "y": `"y"`, "inf": `"inf"`, "nan": `"nan"`, "1e400": `"1e400"`, "--5": `"--5"`, "+-5": `"+-5"`,
		"1.5": "1.5", "1.": "1.0", ".5": "0.5", "1e3": "1000.0", "-0.0": "-0.0", "1e20": "1e20", "1e15": "1000000000000000.0", "1e16": "1e16", "0.00001": "0.00001", "0.000001": "1e-6", "-1.5e-7": "-1.5e-7",
		".inf": "null", "-.INF": "null", "+.inf": "null", "+-.inf": `"+-.inf"`, ".nan": "null",
		"true": "true", "TRUE": "true", "False": "false", "tRUE": `"tRUE"`, "null": "null", "~": "null", "": "null",
		"!!str 5": `"5"`, `!!int "5"`: "5", "!!float 1": "1.0", "!!bool 'true'": "true", "'5'": `"5"`, `"a\0\n\u2028\x7f"`: "\"a\\u0000\\n\u2028\x7f\"",
	} {
		m, err := manifest.Parse([]byte(inTrait(in)), manifest.ContentYAML, true, manifest.Budget{})
		if err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		if got := string(m.Spec.Components[0].Traits[0].Custom); got != `{"v":`+want+`}` {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
	for in, want := range map[string]string{
		"18446744073709551616": "invalid type: integer `18446744073709551616` as u128, expected any value",
		"-9223372036854775809": "invalid type: integer `-9223372036854775809` as i128, expected any value",
		"!foo x":               "untagged and internally tagged enums do not support enum input",
		"!foo {a: b}":          "untagged and internally tagged enums do not support enum input",
		"!!int x":              `invalid value: string "x", expected an integer`,
		"!!bool yes":           `invalid value: string "yes", expected a boolean`,
		"!!float x":            `invalid value: string "x", expected a float`,
		"!!null x":             `invalid value: string "x", expected null`,
		"{5: x}":               "data did not match any variant of untagged enum TraitProperty",
	} {
		_, err := manifest.Parse([]byte(inTrait(in)), manifest.ContentYAML, true, manifest.Budget{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", in, err, want)
		}
	}
}

func TestYAMLScalarsElsewhereAreTheirSourceText(t *testing.T) {
	t.Parallel()
	m := parseYAML(t, `
apiVersion: 1.0
kind: true
metadata:
  name: 5
  annotations: {version: 1.10, a: , b: ~, c: null, d: 0x10, e: !!int x, 7: 8}
  labels:
spec:
  components:
  - name: 1_000
    type: actor
    properties: {image: "5"}
    traits: ~
  policies:
  - {name: 1, type: 2, properties: {k: 3, k: 4}, extra: 5}
`)
	want := &manifest.Manifest{
		APIVersion: "1.0", Kind: "true",
		Metadata: manifest.Metadata{Name: "5", Annotations: map[string]string{
			"version": "1.10", "a": "", "b": "~", "c": "null", "d": "0x10", "e": "x", "7": "8",
		}},
		Spec: manifest.Spec{
			Components: []manifest.Component{{Name: "1_000", Type: manifest.TypeComponent, Properties: manifest.Properties{Image: new("5")}}},
			Policies:   []manifest.Policy{{Name: "1", Type: "2", Properties: map[string]string{"k": "4"}}},
		},
	}
	if diff := cmp.Diff(want, m); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestFaultsHaveTheWordsAndPlacesClientsKnow(t *testing.T) {
	t.Parallel()
	const head = "apiVersion: v\nkind: k\nmetadata: {name: a, annotations: {}}\n"
	const open = `{"apiVersion":"v","kind":"k","metadata":{"name":"a"},"spec":`
	for _, c := range []struct{ contentType, text, want string }{
		{"text/plain", "", "Unsupported content type text/plain given. Wadm supports YAML and JSON"},
		{"", "{}", "Unsupported content type  given. Wadm supports YAML and JSON"},
		{"application/json; charset=utf-8", "{}", "Unsupported content type application/json; charset=utf-8 given. Wadm supports YAML and JSON"},
		{manifest.ContentYAML, "", "missing field `apiVersion`"},
		{manifest.ContentYAML, "5", "invalid type: integer `5`, expected struct Manifest"},
		{manifest.ContentYAML, head + "spec:\n", "spec: missing field `components` at line 4 column 6"},
		{manifest.ContentYAML, head + "spec: ~\n", "spec: invalid type: unit value, expected struct Specification at line 4 column 7"},
		{manifest.ContentYAML, head + "spec: {components: {}}\n", "spec.components: invalid type: map, expected a sequence at line 4 column 20"},
		{manifest.ContentYAML, head + "spec: {components: [x]}\n", "spec.components[0]: invalid type: string \"x\", expected struct Component at line 4 column 21"},
		{manifest.ContentYAML, head + "spec: {components: [], policies: [{name: a, type: b}]}\n", "spec.policies[0]: missing field `properties` at line 4 column 35"},
		{manifest.ContentYAML, head + "kind: k\n", "duplicate field `kind`"},
		{manifest.ContentYAML, head + "status: {}\n", "unknown field `status`, expected one of `apiVersion`, `kind`, `metadata`, `spec` at line 4 column 1"},
		{manifest.ContentYAML, head + "spec: {components: [{name: a, type: gadget, properties: {}}]}\n", "spec.components[0]: unknown variant `gadget`, expected one of `actor`, `component`, `capability` at line 4 column 21"},
		{manifest.ContentYAML, head + "spec: {components: [{name: a, type: component, properties: {config: [{name: a, properties: {port: 8080}}]}}]}\n", "spec.components[0]: invalid type: integer `8080`, expected a string at line 4 column 21"},
		{manifest.ContentYAML, head + "spec: {components: [{name: a, type: component, <<: {properties: {}}}]}\n", "spec.components[0]: missing field `properties` at line 4 column 21"},
		{manifest.ContentYAML, head + "spec: {components: []}\n---\nx\n", "deserializing from YAML containing more than one document is not supported"},
		{manifest.ContentYAML, "\uFEFF" + head, "found a byte order mark at line 1 column 1"},
		{manifest.ContentYAML, "a:\n- b\n c: d", "mapping values are not allowed in this context at line 3"},
		{manifest.ContentJSON, "", "EOF while parsing a value at line 1 column 0"},
		{manifest.ContentJSON, "a: b", "expected value at line 1 column 1"},
		{manifest.ContentJSON, "{\n \"x\": 1}", "unknown field `x`, expected one of `apiVersion`, `kind`, `metadata`, `spec` at line 2 column 4"},
		{manifest.ContentJSON, `{"APIVERSION":"v"}`, "unknown field `APIVERSION`, expected one of `apiVersion`, `kind`, `metadata`, `spec` at line 1 column 13"},
		{manifest.ContentJSON, `{"apiVersion":"v","apiVersion":"v"}`, "duplicate field `apiVersion` at line 1 column 30"},
		{manifest.ContentJSON, `{"apiVersion":5}`, "invalid type: integer `5`, expected a string at line 1 column 15"},
		{manifest.ContentJSON, `{"apiVersion":null}`, "invalid type: null, expected a string at line 1 column 18"},
		{manifest.ContentJSON, open + `{"components":[]}} x`, "trailing characters at line 1 column 80"},
		{manifest.ContentJSON, open + `{"components":[],}}`, "trailing comma at line 1 column 78"},
		{manifest.ContentJSON, open + "{\"components\":[\"\xff\"]}}", "invalid unicode code point at line 1 column 78"},
		{manifest.ContentJSON, open + `{"components":["\ud800"]}}`, "unexpected end of hex escape at line 1 column 83"},
		{manifest.ContentJSON, open + `{"components":[01]}}`, "invalid number at line 1 column 77"},
		{manifest.ContentJSON, open + `{"components":[1e999]}}`, "number out of range at line 1 column 80"},
	} {
		_, err := manifest.Parse([]byte(c.text), c.contentType, true, manifest.Budget{})
		if err == nil {
			t.Errorf("%q is taken", c.text)
		} else if diff := cmp.Diff(c.want, err.Error()); diff != "" {
			t.Errorf("%q (-want +got):\n%s", c.text, diff)
		}
	}
}

func TestShapeDecidesWhatATraitIs(t *testing.T) {
	t.Parallel()
	const link = `"namespace":"a","package":"b","interfaces":["c"]`
	for in, want := range map[string]string{
		"{target: d, namespace: a, package: b, interfaces: [c]}":                                                     `{` + link + `,"target":{"name":"d"}}`,
		"{namespace: a, package: b, interfaces: [c]}":                                                                `{` + link + `,"target":{"name":""}}`,
		"{target: d, target_config: [{name: u, properties: {url: x}}], namespace: a, package: b, interfaces: [c]}":   `{` + link + `,"target":{"name":"d","config":[{"name":"u","properties":{"url":"x"}}]}}`,
		"{target: {name: d, x: y}, target_config: 5, values: z, namespace: a, package: b, interfaces: [c], name: n}": `{` + link + `,"target":{"name":"d"},"name":"n"}`,
		"{target: d, source_config: [{name: s}], namespace: a, package: b, interfaces: [c]}":                         `{` + link + `,"source":{"config":[{"name":"s"}]},"target":{"name":"d"}}`,
		"{target: d, source_config: [{name: s}], source: {}, namespace: a, package: b, interfaces: [c]}":             `{` + link + `,"source":{},"target":{"name":"d"}}`,
		"{target: d, source_config: [], namespace: a, package: b, interfaces: [c]}":                                  `{` + link + `,"source":{},"target":{"name":"d"}}`,
		"{target: d, namespace: z, namespace: a, package: b, interfaces: [c]}":                                       `{` + link + `,"target":{"name":"d"}}`,
		"{target: d, source: {config: [{name: s, properties: {k: 1, k: x}}]}, namespace: a, package: b, interfaces: [c]}": `{` + link +
			`,"source":{"config":[{"name":"s","properties":{"k":"x"}}]},"target":{"name":"d"}}`,
		"{target: d, source: ~, namespace: a, package: b, interfaces: [c]}":                   `{"interfaces":["c"],"namespace":"a","package":"b","source":null,"target":"d"}`,
		"{target: d, target_config: ~, namespace: a, package: b, interfaces: [c]}":            `{"interfaces":["c"],"namespace":"a","package":"b","target":"d","target_config":null}`,
		"{target: d, source: {config: [{nam: s}]}, namespace: a, package: b, interfaces: []}": `{"interfaces":[],"namespace":"a","package":"b","source":{"config":[{"nam":"s"}]},"target":"d"}`,
		"{replicas: 3}":   `{"instances":3}`,
		"{instances: -0}": `{"instances":0}`,
		"{instances: 1, spread: [{name: s, requirements: {a: b}, weight: 0}, {name: t, requirements: {}, weight: ~}, {name: u}]}": `{"instances":1,"spread":[` +
			`{"name":"s","requirements":{"a":"b"},"weight":0},{"name":"t","requirements":{}},{"name":"u","requirements":{}}]}`,
		"{instances: '3'}":                            `{"instances":"3"}`,
		"{instances: 1, spread: ~}":                   `{"instances":1,"spread":null}`,
		"{instances: 1, extra: 2}":                    `{"extra":2,"instances":1}`,
		"{b: {z: 1, y: [1, 2.50]}, a: &x [q], c: *x}": `{"a":["q"],"b":{"y":[1,2.5],"z":1},"c":["q"]}`,
		"~": "null", "5": "5", "x": `"x"`,
	} {
		m := parseYAML(t, with("acme", in))
		b, err := m.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		_, b2, _ := strings.Cut(string(b), `{"type":"acme","properties":`)
		if got, _, _ := strings.Cut(b2, "}]}],"); got != want {
			t.Errorf("%s:\n got %s\nwant %s", in, got, want)
		}
	}
	// What would be one thing now and another once stored is refused.
	for in, want := range map[string]string{
		"{instances: 1, instances: 2}":                              "duplicate field `instances`",
		"{instances: 1, replicas: 2, replicas: 3}":                  "",
		"{instances: 1, spread: [{name: a, weight: .nan}]}":         "invalid type: floating point `NaN`, expected usize",
		"{instances: 1, spread: [{name: a, name: b}], replicas: 1}": "",
	} {
		_, err := manifest.Parse([]byte(with("acme", in)), manifest.ContentYAML, true, manifest.Budget{})
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", in, err, want)
		}
	}
}

func TestCanonicalFormHasOneOrder(t *testing.T) {
	t.Parallel()
	m := parseYAML(t, `
spec:
  policies: [{type: t, properties: {b: "1", a: "<&>"}, name: p}]
  components:
  - traits: []
    properties:
      secrets: [{properties: {version: v, field: ~, key: k, policy: p}, name: s}]
      config: [{properties: {}, name: c}, {name: e}]
      id: i
      application: {component: x, name: y}
      image: ""
    type: capability
    name: n
metadata: {labels: {z: "", a: ""}, annotations: {b: "2", a: "1"}, name: app}
kind: Application
apiVersion: core.oam.dev/v1beta1
`)
	const want = `{"apiVersion":"core.oam.dev/v1beta1","kind":"Application","metadata":{"name":"app","annotations":{"a":"1","b":"2"},"labels":{"a":"","z":""}},` +
		`"spec":{"components":[{"name":"n","type":"capability","properties":{"image":"","application":{"name":"y","component":"x"},"id":"i",` +
		`"config":[{"name":"c","properties":{}},{"name":"e"}],"secrets":[{"name":"s","properties":{"policy":"p","key":"k","version":"v"}}]},"traits":[]}],` +
		`"policies":[{"name":"p","properties":{"a":"<&>","b":"1"},"type":"t"}]}}`
	b, err := m.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(b)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	const event = `{"apiVersion":"core.oam.dev/v1beta1","kind":"Application","metadata":{"annotations":{"a":"1","b":"2"},"labels":{"a":"","z":""},"name":"app"},` +
		`"spec":{"components":[{"name":"n","properties":{"application":{"component":"x","name":"y"},"config":[{"name":"c","properties":{}},{"name":"e"}],` +
		`"id":"i","image":"","secrets":[{"name":"s","properties":{"key":"k","policy":"p","version":"v"}}]},"traits":[],"type":"capability"}],` +
		`"policies":[{"name":"p","properties":{"a":"<&>","b":"1"},"type":"t"}]}}`
	if b, err = m.EventJSON(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(event, string(b)); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
}

func TestRecordsOfUpstreamAreRead(t *testing.T) {
	t.Parallel()
	// Upstream stores a spread without its empty requirements.
	const stored = `{"apiVersion":"v","kind":"k","metadata":{"name":"a"},"spec":{"components":[{"name":"c","type":"component","properties":{"image":"i"},` +
		`"traits":[{"type":"spreadscaler","properties":{"instances":2,"spread":[{"name":"s"}]}}]}]}}`
	var m manifest.Manifest
	if err := json.Unmarshal([]byte(stored), &m); err != nil {
		t.Fatal(err)
	}
	want := &manifest.SpreadScaler{Instances: 2, Spread: []manifest.Spread{{Name: "s"}}}
	if diff := cmp.Diff(want, m.Spec.Components[0].Traits[0].Spread); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	before := m
	if err := json.Unmarshal([]byte(`{"kind":"other"}`), &m); err == nil || !cmp.Equal(before, m) {
		t.Errorf("a record that cannot be read gives %v and changes the manifest", err)
	}
	bad := manifest.Manifest{Spec: manifest.Spec{Components: []manifest.Component{{Traits: []manifest.Trait{{Custom: json.RawMessage("{")}}}}}}
	if b, err := bad.MarshalJSON(); err == nil {
		t.Errorf("a trait that is not JSON was written: %s", b)
	}
	if _, err := fmt.Fprint(&strings.Builder{}, bad.Validate()); err != nil {
		t.Error(err)
	}
}
