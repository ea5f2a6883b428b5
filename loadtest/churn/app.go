package churn

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// app is one version of an application: manifest and demand are made from it.
type app struct {
	name, version string
	works         []work
}

// work is a component or a provider of an application.
type work struct {
	name     string
	provider bool
	image    string
	// daemon: instances on every host of the spreads, not in total.
	daemon    bool
	instances int
	spreads   []spread
	configs   []conf
	links     []link
}

type spread struct {
	name   string
	labels map[string]string
	weight int
}

// conf is a configuration; with nil values it is somebody else's.
type conf struct {
	name   string
	values map[string]string
}

// link leads from the work that has it to another of the same application.
type link struct {
	target, pkg, iface string
	source, dest       []conf
}

func (a *app) clone() *app {
	b := *a
	b.works = slices.Clone(a.works)
	for i := range b.works {
		w := &b.works[i]
		w.spreads, w.configs, w.links = slices.Clone(w.spreads), slices.Clone(w.configs), slices.Clone(w.links)
	}
	return &b
}

func (a *app) work(name string) *work {
	for i := range a.works {
		if a.works[i].name == name {
			return &a.works[i]
		}
	}
	return nil
}

// prefix starts the names of all that belongs to an application. Names are made
// of lower-case letters, digits and dashes only.
func prefix(app string) string { return strings.ReplaceAll(app, "-", "_") + "-" }

func (a *app) id(work string) string { return prefix(a.name) + strings.ReplaceAll(work, "-", "_") }

// configName is the name of c in the lattice.
func (a *app) configName(c conf) string {
	if c.values == nil {
		return c.name
	}
	return prefix(a.name) + strings.ReplaceAll(c.name, "-", "_")
}

func (a *app) configNames(cs []conf) []string {
	out := []string{}
	for _, c := range cs {
		out = append(out, a.configName(c))
	}
	return out
}

// broken tells whether an image of the application can never be had.
func (a *app) broken() bool {
	return slices.ContainsFunc(a.works, func(w work) bool { return behaviour(w.image) == "bad" })
}

// behaviour is how an image behaves: the word behind the last dash of its tag.
func behaviour(image string) string {
	_, word, _ := strings.Cut(image[strings.LastIndexByte(image, ':')+1:], "-")
	return word
}

// manifest is the application as clients send it, in JSON.
func (a *app) manifest() ([]byte, error) {
	type object = map[string]any
	confs := func(cs []conf) []object {
		out := []object{}
		for _, c := range cs {
			o := object{"name": c.name}
			if c.values != nil {
				o["properties"] = c.values
			}
			out = append(out, o)
		}
		return out
	}
	components := []object{}
	for _, w := range a.works {
		kind, scaler := "component", "spreadscaler"
		if w.provider {
			kind = "capability"
		}
		if w.daemon {
			scaler = "daemonscaler"
		}
		traits := []object{}
		scale := object{"instances": w.instances}
		spreads := []object{}
		for _, s := range w.spreads {
			// Upstream takes spreads without requirements, even empty ones, for
			// something else.
			o := object{"name": s.name, "requirements": s.labels}
			if s.labels == nil {
				o["requirements"] = object{}
			}
			if s.weight > 0 {
				o["weight"] = s.weight
			}
			spreads = append(spreads, o)
		}
		if len(spreads) > 0 {
			scale["spread"] = spreads
		}
		traits = append(traits, object{"type": scaler, "properties": scale})
		for _, l := range w.links {
			p := object{
				"namespace": namespace, "package": l.pkg, "interfaces": []string{l.iface},
				"target": object{"name": l.target, "config": confs(l.dest)},
			}
			if len(l.source) > 0 {
				p["source"] = object{"config": confs(l.source)}
			}
			traits = append(traits, object{"type": "link", "properties": p})
		}
		properties := object{"image": w.image}
		if len(w.configs) > 0 {
			properties["config"] = confs(w.configs)
		}
		components = append(components, object{"name": w.name, "type": kind, "properties": properties, "traits": traits})
	}
	b, err := json.Marshal(object{
		"apiVersion": "core.oam.dev/v1beta1", "kind": "Application",
		"metadata": object{"name": a.name, "annotations": object{"version": a.version}},
		"spec":     object{"components": components},
	})
	if err != nil {
		return nil, fmt.Errorf("encode manifest: %w", err)
	}
	return b, nil
}

// namespace of all links.
const namespace = "churn"
