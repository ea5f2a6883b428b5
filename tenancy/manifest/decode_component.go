package manifest

var (
	componentShape = shape{name: "Component", fields: []string{"name", "traits"}, required: []string{"name"}}
	propertyFields = []string{"image", "application", "id", "config", "secrets"}
	sharedFields   = []string{"name", "component"}
	sharedShape    = shape{name: "SharedApplicationComponentProperties", fields: sharedFields, required: sharedFields}
	configShape    = shape{name: "ConfigProperty", closed: true, fields: []string{"name", "properties"}, required: []string{"name"}}
	secretFields   = []string{"name", "properties"}
	secretShape    = shape{name: "SecretProperty", fields: secretFields, required: secretFields}
	sourceShape    = shape{
		name:   "SecretSourceProperty",
		fields: []string{"policy", "key", "field", "version"}, required: []string{"policy", "key"},
	}
	traitFields = []string{"type", "properties"}
	traitShape  = shape{name: "Trait", closed: true, fields: traitFields, required: traitFields}
)

// component reads name and traits as they come; type and properties depend on
// each other, so both are held back until the component has ended.
func (d decoder) component(n *node) (Component, *fault) {
	var c Component
	if n.kind != mapping && !n.isBlank() {
		return c, d.wrong(n, "struct Component")
	}
	var held []*node
	direct := node{kind: mapping, line: n.line, column: n.column, start: n.start, end: n.end}
	for i := 0; i < len(n.list); i += 2 {
		k, v := n.list[i], n.list[i+1]
		if k.isString() && componentShape.knows(k.str) {
			direct.list = append(direct.list, k, v)
			continue
		}
		if !k.isString() {
			return c, d.wrong(k, "field identifier")
		}
		r, f := d.typed(v)
		if f != nil {
			return c, f.within(clip(k.str))
		}
		held = append(held, k, r)
	}
	f := d.structure(&direct, componentShape, func(name string, v *node) *fault {
		if name == "name" {
			return d.text(v, &c.Name)
		}
		return d.traits(v, &c.Traits)
	})
	if f != nil {
		return c, f
	}
	if f := d.held(n, held, &c); f != nil {
		// What was held back is reported where the component stands.
		return c, d.after(n, f.text)
	}
	return c, nil
}

func (d decoder) held(n *node, held []*node, c *Component) *fault {
	var typ, properties *node
	for i := 0; i < len(held); i += 2 {
		var to **node
		switch held[i].str {
		case "type":
			to = &typ
		case "properties":
			to = &properties
		default:
			continue
		}
		if *to != nil {
			return d.duplicate(n, held[i])
		}
		*to = held[i+1]
	}
	if typ == nil {
		return d.after(n, missing("type"))
	}
	if typ.kind != text {
		return d.wrong(typ, "variant identifier")
	}
	kind := "ComponentProperties"
	switch typ.str {
	case "actor", string(TypeComponent):
		c.Type = TypeComponent
	case string(TypeCapability):
		c.Type = TypeCapability
		kind = "CapabilityProperties"
	default:
		return d.after(n, "unknown variant `"+clip(typ.str)+"`, "+expectedOne([]string{"actor", "component", "capability"}))
	}
	if properties == nil {
		return d.after(n, missing("properties"))
	}
	return d.properties(properties, kind, &c.Properties)
}

func (d decoder) properties(n *node, kind string, to *Properties) *fault {
	return d.structure(n, shape{name: kind, closed: true, fields: propertyFields}, func(name string, v *node) (f *fault) {
		switch name {
		case "image":
			return d.optionalText(v, &to.Image)
		case "application":
			if isNull(v) {
				return nil
			}
			to.Application = &SharedRef{}
			return d.structure(v, sharedShape, func(name string, v *node) *fault {
				if name == "name" {
					return d.text(v, &to.Application.Name)
				}
				return d.text(v, &to.Application.Component)
			})
		case "id":
			return d.optionalText(v, &to.ID)
		case "config":
			to.Config, f = listOf(d, v, d.config)
		default:
			to.Secrets, f = listOf(d, v, d.secret)
		}
		return f
	})
}

func (d decoder) config(n *node) (Config, *fault) {
	var c Config
	f := d.structure(n, configShape, func(name string, v *node) *fault {
		switch {
		case name == "name":
			return d.text(v, &c.Name)
		case isNull(v):
			return nil
		default:
			return d.stringMap(v, &c.Properties)
		}
	})
	return c, f
}

func (d decoder) secret(n *node) (Secret, *fault) {
	var s Secret
	f := d.structure(n, secretShape, func(name string, v *node) *fault {
		if name == "name" {
			return d.text(v, &s.Name)
		}
		return d.structure(v, sourceShape, func(name string, v *node) *fault {
			switch name {
			case "policy":
				return d.text(v, &s.Policy)
			case "key":
				return d.text(v, &s.Key)
			case "field":
				return d.optionalText(v, &s.Field)
			default:
				return d.optionalText(v, &s.Version)
			}
		})
	})
	return s, f
}

func (d decoder) traits(n *node, to *[]Trait) *fault {
	if isNull(n) {
		return nil
	}
	list, f := listOf(d, n, d.trait)
	if f != nil {
		return f
	}
	if list == nil {
		list = []Trait{}
	}
	*to = list
	return nil
}

func (d decoder) trait(n *node) (Trait, *fault) {
	var t Trait
	var mixed *fault
	f := d.structure(n, traitShape, func(name string, v *node) *fault {
		if name == "type" {
			return d.text(v, &t.Type)
		}
		r, f := d.typed(v)
		if f != nil {
			return f
		}
		c, ok := r.canonical()
		if !ok {
			mixed = d.after(n, "data did not match any variant of untagged enum TraitProperty")
			return nil
		}
		return d.traitProperties(r, c, &t)
	})
	if f == nil {
		f = mixed
	}
	return t, f
}
