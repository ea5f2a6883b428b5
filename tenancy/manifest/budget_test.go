package manifest_test

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"wadm/tenancy/manifest"
)

// hostile lists inputs that cost parsers seconds or gigabytes.
func hostile() map[string]string {
	laughs := "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
	for i := 1; i < 9; i++ {
		laughs += fmt.Sprintf("a%d: &a%d [%s]\n", i, i, strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 9))
	}
	var keys, chain, fan strings.Builder
	for i := range 90_000 {
		fmt.Fprintf(&keys, "k%d: v\n", i)
	}
	chain.WriteString("m0: &m0 {a: b}\n")
	for i := 1; i < 5_000; i++ {
		fmt.Fprintf(&chain, "m%d: &m%d {<<: *m%d}\n", i, i, i-1)
	}
	fan.WriteString("m0: &m0 {a: b}\n")
	for i := 1; i < 26; i++ {
		fmt.Fprintf(&fan, "m%d: &m%d {<<: [*m%d, *m%d]}\n", i, i, i-1, i-1)
	}
	return map[string]string{
		"billion laughs":            laughs,
		"long text, many aliases":   "a: &a " + strings.Repeat("x", 60_000) + "\nb: [" + strings.Repeat("*a, ", 900) + "]\n",
		"many items, many aliases":  "a: &a [" + strings.Repeat("x, ", 2_000) + "]\nb: [" + strings.Repeat("*a, ", 400) + "]\n",
		"too many aliases":          "a: &a x\nb: [" + strings.Repeat("*a, ", 1_001) + "]\n",
		"scalar of 100 kB":          "a: " + strings.Repeat("x", 100_000) + "\n",
		"flow depth":                strings.Repeat("[", 5_000) + strings.Repeat("]", 5_000),
		"flow depth, much":          strings.Repeat("[", 400_000) + strings.Repeat("]", 400_000),
		"flow maps, unclosed":       strings.Repeat("{a: ", 200_000),
		"block depth":               strings.Repeat("- ", 500_000),
		"many keys":                 keys.String(),
		"one key many times":        strings.Repeat("k: v\n", 50_000),
		"merge chain":               chain.String(),
		"merge fan":                 fan.String(),
		"alias depth":               "a0: &a0 [x]\n" + aliasDepth(70),
		"anchor in itself":          "a: &a [*a]\n",
		"anchor in itself, deeply":  "a: &a {b: [{c: *a}]}\n",
		"many flow items":           "[" + strings.Repeat("a,", 520_000) + "]",
		"many empty flow items":     "[" + strings.Repeat("[],", 340_000) + "]",
		"many plain keys in a flow": "{" + strings.Repeat("a,", 520_000) + "}",
		"many anchors":              "[" + strings.Repeat("&a a,", 200_000) + "]",
		"many block items":          strings.Repeat("-\n", 520_000),
		"many comments":             strings.Repeat("#\n", 520_000),
		"many question marks":       strings.Repeat("? ", 520_000),
		"many documents":            strings.Repeat("---\n", 260_000),
		"JSON depth":                strings.Repeat("[", 9_000) + strings.Repeat("]", 9_000),
		"JSON objects, unclosed":    strings.Repeat(`{"a":`, 200_000),
		"two mebibytes":             "a: " + strings.Repeat("x\n   ", 600_000),
	}
}

func aliasDepth(n int) string {
	var b strings.Builder
	for i := 1; i < n; i++ {
		fmt.Fprintf(&b, "a%d: &a%d [*a%d]\n", i, i, i-1)
	}
	return b.String()
}

func TestHostileInputIsRefusedFast(t *testing.T) {
	for name, text := range hostile() {
		for _, contentType := range []string{"", manifest.ContentYAML, manifest.ContentJSON} {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := time.Now()
			m, err := manifest.Parse([]byte(text), contentType, contentType != "", manifest.Budget{})
			took := time.Since(start)
			runtime.ReadMemStats(&after)
			if err == nil {
				t.Errorf("%s as %q is taken: %d components", name, contentType, len(m.Spec.Components))
				continue
			}
			if len(err.Error()) > 4_000 {
				t.Errorf("%s as %q: the answer has %d bytes", name, contentType, len(err.Error()))
			}
			// Generous: other tests share the machine, and the race detector is slow.
			if took > 5*time.Second {
				t.Errorf("%s as %q took %v", name, contentType, took)
			}
			allocated := (after.TotalAlloc - before.TotalAlloc) >> 20
			if allocated > 160 {
				t.Errorf("%s as %q allocated %d MiB", name, contentType, allocated)
			}
			t.Logf("%s as %q: %v, %d MiB: %.80s", name, contentType, took.Round(time.Millisecond), allocated, err)
		}
	}
}

func TestBudgetsAreTheirExactLimits(t *testing.T) {
	t.Parallel()
	components := func(n int) string {
		return "apiVersion: v\nkind: k\nmetadata: {name: a}\nspec: {components: [" +
			strings.Repeat("{name: a, type: component, properties: {image: i}},", n) + "]}\n"
	}
	nested := func(n int) string {
		return with("x", strings.Repeat("[", n)+strings.Repeat("]", n))
	}
	annotations := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "a%d: b,", i)
		}
		return "apiVersion: v\nkind: k\nmetadata: {name: a, annotations: {" + b.String() + "}}\nspec: {components: []}\n"
	}
	for name, c := range map[string]struct {
		good, bad string
		b         manifest.Budget
	}{
		"bytes":    {components(1), components(1) + " ", manifest.Budget{Bytes: len(components(1))}},
		"nodes":    {components(2), components(3), manifest.Budget{Nodes: 13 + 2*9}},
		"depth":    {nested(58), nested(59), manifest.Budget{}},
		"keys":     {annotations(1_000), annotations(1_001), manifest.Budget{}},
		"scalar":   {inTrait("'" + strings.Repeat("x", 64<<10) + "'"), inTrait("'" + strings.Repeat("x", 64<<10+1) + "'"), manifest.Budget{}},
		"aliases":  {inTrait("[&a x, *a, *a]"), inTrait("[&a x, *a, *a, *a]"), manifest.Budget{Aliases: 2}},
		"expanded": {inTrait("[&a [x, x, x], *a]"), inTrait("[&a [x, x, x, x, x, x], *a, *a, *a, *a, *a, *a, *a, *a]"), manifest.Budget{Expanded: 85}},
	} {
		if _, err := manifest.Parse([]byte(c.good), manifest.ContentYAML, true, c.b); err != nil {
			t.Errorf("%s: within the budget: %v", name, err)
		}
		for _, contentType := range []string{"", manifest.ContentYAML} {
			if _, err := manifest.Parse([]byte(c.bad), contentType, contentType != "", c.b); !errors.Is(err, manifest.ErrBudget) {
				t.Errorf("%s: over the budget as %q: %v", name, contentType, err)
			}
		}
	}
}

// A record that was within budget when it was put can always be read again,
// however much its canonical form has grown.
func TestLargestManifestsSurviveStorage(t *testing.T) {
	t.Parallel()
	control := strings.Repeat(`\0`, 30_000)
	for name, text := range map[string]string{
		"escapes":         inTrait("[" + strings.Repeat(`"`+control+`",`, 17) + "]"),
		"aliases":         inTrait("[&a [" + strings.Repeat("x,", 300) + "], " + strings.Repeat("*a,", 320) + "]"),
		"many components": "apiVersion: v\nkind: k\nmetadata: {name: a}\nspec: {components: [" + strings.Repeat("{name: a, type: component, properties: {image: i}},", 5_000) + "]}\n",
		"many spreads":    with("spreadscaler", "{instances: 1, spread: ["+strings.Repeat("{name: a},", 16_000)+"]}"),
		"deep":            with("x", strings.Repeat("[", 58)+strings.Repeat("]", 58)),
	} {
		roundTrip(t, name, parseYAML(t, text))
	}
}
