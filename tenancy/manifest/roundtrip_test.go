package manifest_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"wadm/tenancy/manifest"
)

type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// roundTrip checks that m has one canonical form that reads back as m, by every
// way in.
func roundTrip(t failer, name string, m *manifest.Manifest) {
	t.Helper()
	b, err := m.MarshalJSON()
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	var stored manifest.Manifest
	if err := stored.UnmarshalJSON(b); err != nil {
		t.Fatalf("%s: read back: %v", name, err)
	}
	if !reflect.DeepEqual(m, &stored) {
		t.Fatalf("%s: read back (-want +got):\n%.4000s", name, cmp.Diff(m, &stored))
	}
	again, err := stored.MarshalJSON()
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if !bytes.Equal(b, again) {
		t.Fatalf("%s: two canonical forms:\n%.2000s\n%.2000s", name, b, again)
	}
	event, err := m.EventJSON()
	if err != nil {
		t.Fatalf("%s: event: %v", name, err)
	}
	var fromEvent manifest.Manifest
	if err := fromEvent.UnmarshalJSON(event); err != nil {
		t.Fatalf("%s: read event: %v", name, err)
	}
	if !reflect.DeepEqual(m, &fromEvent) {
		t.Fatalf("%s: event (-want +got):\n%.4000s", name, cmp.Diff(m, &fromEvent))
	}
}

func optional[T any](g *rapid.Generator[T]) *rapid.Generator[*T] { return rapid.Ptr(g, true) }

func listsOf[T any](g *rapid.Generator[T]) *rapid.Generator[[]T] {
	return rapid.Map(rapid.SliceOfN(g, 0, 3), func(l []T) []T {
		if len(l) == 0 {
			return nil
		}
		return l
	})
}

var (
	anyText = rapid.OneOf(rapid.SampledFrom([]string{"", "a", "b", "null", "5", "true", "~", "1.0", "<&>\u2028", "\x00\n\"\\", "é", " a ", "# x", "- y", "{", "a: b", "link"}), rapid.String())
	textMap = rapid.MapOfN(anyText, anyText, 0, 3)
	someMap = rapid.Map(textMap, func(m map[string]string) map[string]string {
		if len(m) == 0 {
			return nil
		}
		return m
	})
	anyConfig = rapid.Custom(func(t *rapid.T) manifest.Config {
		c := manifest.Config{Name: anyText.Draw(t, "name")}
		if rapid.Bool().Draw(t, "owned") {
			c.Properties = textMap.Draw(t, "properties")
		}
		return c
	})
	anySecret = rapid.Custom(func(t *rapid.T) manifest.Secret {
		return manifest.Secret{
			Name: anyText.Draw(t, "name"), Policy: anyText.Draw(t, "policy"), Key: anyText.Draw(t, "key"),
			Field: optional(anyText).Draw(t, "field"), Version: optional(anyText).Draw(t, "version"),
		}
	})
	anyEnd = rapid.Custom(func(t *rapid.T) manifest.LinkEnd {
		return manifest.LinkEnd{Config: listsOf(anyConfig).Draw(t, "config"), Secrets: listsOf(anySecret).Draw(t, "secrets")}
	})
	anyLink = rapid.Custom(func(t *rapid.T) *manifest.Link {
		return &manifest.Link{
			Namespace: anyText.Draw(t, "namespace"), Package: anyText.Draw(t, "package"), Interfaces: listsOf(anyText).Draw(t, "interfaces"),
			Source: optional(anyEnd).Draw(t, "source"), Name: optional(anyText).Draw(t, "name"),
			Target: manifest.LinkTarget{Name: anyText.Draw(t, "target"), LinkEnd: anyEnd.Draw(t, "end")},
		}
	})
	anySpread = rapid.Custom(func(t *rapid.T) manifest.Spread {
		return manifest.Spread{Name: anyText.Draw(t, "name"), Requirements: someMap.Draw(t, "requirements"), Weight: optional(rapid.Uint64()).Draw(t, "weight")}
	})
	anyTrait = rapid.Custom(func(t *rapid.T) manifest.Trait {
		tr := manifest.Trait{Type: anyText.Draw(t, "type")}
		switch rapid.IntRange(0, 2).Draw(t, "shape") {
		case 0:
			tr.Link = anyLink.Draw(t, "link")
		case 1:
			tr.Spread = &manifest.SpreadScaler{Instances: rapid.Uint64().Draw(t, "instances"), Spread: listsOf(anySpread).Draw(t, "spread")}
		default:
			tr.Custom = json.RawMessage(rapid.SampledFrom([]string{"null", "5", "1.0", "1e20", "-0.0", `"x"`, `{}`, `[]`, `{"a":[{"b":null}],"c":true}`, `{"instances":-1}`}).Draw(t, "custom"))
		}
		return tr
	})
	anyComponent = rapid.Custom(func(t *rapid.T) manifest.Component {
		c := manifest.Component{Name: anyText.Draw(t, "name"), Type: rapid.SampledFrom([]manifest.ComponentType{manifest.TypeComponent, manifest.TypeCapability}).Draw(t, "type")}
		end := anyEnd.Draw(t, "end")
		c.Properties = manifest.Properties{
			Image: optional(anyText).Draw(t, "image"), ID: optional(anyText).Draw(t, "id"), Config: end.Config, Secrets: end.Secrets,
			Application: optional(rapid.Custom(func(t *rapid.T) manifest.SharedRef {
				return manifest.SharedRef{Name: anyText.Draw(t, "app"), Component: anyText.Draw(t, "component")}
			})).Draw(t, "application"),
		}
		if rapid.Bool().Draw(t, "has traits") {
			c.Traits = rapid.SliceOfN(anyTrait, 0, 3).Draw(t, "traits")
		}
		return c
	})
	anyManifest = rapid.Custom(func(t *rapid.T) *manifest.Manifest {
		return &manifest.Manifest{
			APIVersion: anyText.Draw(t, "apiVersion"), Kind: anyText.Draw(t, "kind"),
			Metadata: manifest.Metadata{Name: anyText.Draw(t, "name"), Annotations: someMap.Draw(t, "annotations"), Labels: someMap.Draw(t, "labels")},
			Spec: manifest.Spec{
				Components: listsOf(anyComponent).Draw(t, "components"),
				Policies: listsOf(rapid.Custom(func(t *rapid.T) manifest.Policy {
					return manifest.Policy{Name: anyText.Draw(t, "name"), Properties: someMap.Draw(t, "properties"), Type: anyText.Draw(t, "type")}
				})).Draw(t, "policies"),
			},
		}
	})
)

func TestEveryManifestHasOneCanonicalForm(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := anyManifest.Draw(t, "manifest")
		roundTrip(t, "generated", m)
		// Whatever it is, the rules have an answer, and change nothing.
		before, err := m.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		m.Validate()
		m.Advice()
		after, err := m.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(before, after) {
			t.Fatalf("validation changed\n%s to\n%s", before, after)
		}
	})
}

// The canonical form is valid YAML too, but for what YAML reads differently:
// clients that send JSON without content type get the YAML reader.
func TestCanonicalFormIsReadAsYAML(t *testing.T) {
	t.Parallel()
	for name, body := range fixtures(t) {
		m, err := manifest.Parse(body, "", false, manifest.Budget{})
		if err != nil {
			continue
		}
		b, err := m.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		again, err := manifest.Parse(b, manifest.ContentYAML, true, manifest.Budget{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(m, again); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func seeds(f *testing.F, contentType string) {
	f.Helper()
	files := fixtures(f)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		f.Add(files[name])
		if m, err := manifest.Parse(files[name], "", false, manifest.Budget{}); err == nil && contentType == manifest.ContentJSON {
			b, err := m.MarshalJSON()
			if err != nil {
				f.Fatal(err)
			}
			f.Add(b)
		}
	}
	for _, p := range recorded(f) {
		if p.Request != "" && p.Result == "error" {
			f.Add([]byte(p.Request))
		}
	}
	for _, text := range hostile() {
		if len(text) < 4_000 {
			f.Add([]byte(text))
		}
	}
}

func fuzz(t *testing.T, body []byte, contentType string) {
	m, err := manifest.Parse(body, contentType, true, manifest.Budget{})
	if err != nil {
		if m != nil || err.Error() == "" {
			t.Fatalf("refused with %v and %v", m, err)
		}
		return
	}
	m.Validate()
	m.Advice()
	roundTrip(t, "parsed", m)
}

func FuzzParseYAML(f *testing.F) {
	seeds(f, manifest.ContentYAML)
	f.Fuzz(func(t *testing.T, body []byte) { fuzz(t, body, manifest.ContentYAML) })
}

func FuzzParseJSON(f *testing.F) {
	seeds(f, manifest.ContentJSON)
	f.Fuzz(func(t *testing.T, body []byte) { fuzz(t, body, manifest.ContentJSON) })
}

func BenchmarkParse(b *testing.B) {
	body := fixtures(b)["manifests/complex.yaml"]
	m := parseYAML(b, string(body))
	canonical, err := m.MarshalJSON()
	if err != nil {
		b.Fatal(err)
	}
	b.Run("yaml", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := manifest.Parse(body, manifest.ContentYAML, true, manifest.Budget{}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("json", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := manifest.Parse(canonical, manifest.ContentJSON, true, manifest.Budget{}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("marshal", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := m.MarshalJSON(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkValidate(b *testing.B) {
	m := parseYAML(b, string(fixtures(b)["manifests/complex.yaml"]))
	b.ReportAllocs()
	for b.Loop() {
		if f := m.Validate(); len(f) > 0 {
			b.Fatal(f)
		}
	}
}
