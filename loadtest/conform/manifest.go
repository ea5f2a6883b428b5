package conform

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
)

type object = map[string]any

// manifest is an application as clients send it.
type manifest struct {
	name, version string
	annotations   object
	components    []object
	policies      []object
}

func application(name, version string, components ...object) manifest {
	return manifest{name: name, version: version, components: components}
}

func (m manifest) json() string {
	annotations := object{}
	maps.Copy(annotations, m.annotations)
	if m.version != "" {
		annotations["version"] = m.version
	}
	spec := object{"components": m.components}
	if m.policies != nil {
		spec["policies"] = m.policies
	}
	b, err := json.Marshal(object{
		"apiVersion": "core.oam.dev/v1beta1", "kind": "Application",
		"metadata": object{"name": m.name, "annotations": annotations}, "spec": spec,
	})
	if err != nil {
		return fmt.Sprintf("cannot be encoded: %v", err) // no server accepts that
	}
	return string(b)
}

func component(name, image string, traits ...object) object {
	return object{"name": name, "type": "component", "properties": object{"image": image}, "traits": traits}
}

func provider(name, image string, traits ...object) object {
	return object{"name": name, "type": "capability", "properties": object{"image": image}, "traits": traits}
}

// with adds a property to a component.
func with(c object, key string, value any) object {
	properties, _ := c["properties"].(object)
	properties[key] = value
	return c
}

// spread is a spreadscaler; spreads are "name weight label=value", of which weight
// and label may be left out.
func spread(n int, spreads ...string) object { return scaler("spreadscaler", n, spreads) }

func daemon(n int, spreads ...string) object { return scaler("daemonscaler", n, spreads) }

func scaler(kind string, n int, spreads []string) object {
	p := object{"instances": n}
	var list []object
	for _, s := range spreads {
		o := object{"requirements": object{}}
		for i, word := range strings.Fields(s) {
			switch k, v, label := strings.Cut(word, "="); {
			case i == 0:
				o["name"] = word
			case label:
				o["requirements"] = object{k: v}
			default:
				o["weight"] = json.Number(word)
			}
		}
		list = append(list, o)
	}
	if list != nil {
		p["spread"] = list
	}
	return object{"type": kind, "properties": p}
}

// link leads to another component; configs are those of its source.
func link(target, pkg, iface string, configs ...object) object {
	p := object{"namespace": "test", "package": pkg, "interfaces": []string{iface}, "target": object{"name": target}}
	if len(configs) > 0 {
		p["source"] = object{"config": configs}
	}
	return object{"type": "link", "properties": p}
}

// config is a configuration the application owns, outside one it does not.
func config(name, key, value string) object {
	return object{"name": name, "properties": object{key: value}}
}
func outside(name string) object { return object{"name": name} }
