package main

import "testing"

// FuzzInspect: whatever a file holds, looking at its traits ends, and every
// remark has a place and one line of text.
func FuzzInspect(f *testing.F) {
	f.Add([]byte(manifestOf("hello", "v1", 2, "a")))
	f.Add([]byte("spec: {components: [{name: a, traits: [{type: link, properties: {target: {nme: b}, source: 1}}]}]}"))
	f.Add([]byte("spec: {components: [{traits: [{type: spreadscaler, properties: {instances: -1, spread: [1, {weight: x, requirements: [a]}]}}, {type: x}]}]}"))
	f.Add([]byte("a: &a\n  spec: *a\nspec: *a"))
	f.Fuzz(func(t *testing.T, data []byte) {
		in := inspect(data)
		for _, found := range append(in.broken, in.advice) {
			for _, r := range found {
				if r.Line < 1 || r.Column < 1 || r.Message == "" {
					t.Errorf("remark without place or text: %+v", r)
				}
			}
		}
		_ = finding{Message: "unknown field `x`", Line: 1, Column: 1}.within(data)
	})
}
