package manifest

var (
	targetShape  = shape{name: "TargetConfig", fields: []string{"name", "config", "secrets"}, required: []string{"name"}}
	linkEndShape = shape{name: "ConfigDefinition", fields: []string{"config", "secrets"}}
	scalerShape  = shape{
		name: "SpreadScalerProperty", closed: true,
		fields: []string{"instances", "spread"}, also: []string{"replicas"},
	}
	// Requirements are required by older servers and left out of their own output
	// when empty; here both forms are read.
	spreadShape = shape{
		name: "Spread", closed: true,
		fields: []string{"name", "requirements", "weight"}, required: []string{"name"},
	}
)

// traitProperties decides by shape what the properties of a trait are: a link,
// else a scaler, else something of somebody else's. Which type the trait claims
// to have does not matter here. v is the canonical form of n.
func (d decoder) traitProperties(n, v *node, t *Trait) *fault {
	if t.Link = d.link(v); t.Link != nil {
		return nil
	}
	s, f := d.scaler(n)
	if f == nil {
		t.Spread = s
		return nil
	}
	if _, again := d.scaler(v); again == nil {
		// It would be a scaler once stored and read back, though it is none now:
		// a repeated key or a number JSON cannot write. It must mean one thing.
		return f
	}
	t.Custom = v.appendTo(nil)
	return nil
}

// link gives nil when v is not a link. Unlike scalers, links ignore what they
// do not know.
func (d decoder) link(v *node) *Link {
	if v.kind != mapping {
		return nil
	}
	var l Link
	var f *fault
	if target := v.get("target"); target != nil {
		if target.kind == text {
			l.Target.Name = target.str
			if c := v.get("target_config"); c != nil {
				if l.Target.Config, f = listOf(d, c, d.config); f != nil {
					return nil
				}
			}
		} else if f := d.linkTarget(target, &l.Target); f != nil {
			return nil
		}
	}
	if c := v.get("source_config"); c != nil {
		l.Source = &LinkEnd{}
		if l.Source.Config, f = listOf(d, c, d.config); f != nil {
			return nil
		}
	}
	if source := v.get("source"); source != nil {
		l.Source = &LinkEnd{}
		if f := d.linkEnd(source, l.Source); f != nil {
			return nil
		}
	}
	namespace, pkg, interfaces := v.get("namespace"), v.get("package"), v.get("interfaces")
	if namespace == nil || pkg == nil || interfaces == nil {
		return nil
	}
	if d.text(namespace, &l.Namespace) != nil || d.text(pkg, &l.Package) != nil {
		return nil
	}
	l.Interfaces, f = listOf(d, interfaces, func(n *node) (s string, f *fault) {
		f = d.text(n, &s)
		return s, f
	})
	if f != nil {
		return nil
	}
	if name := v.get("name"); name != nil {
		l.Name = new(string)
		if d.text(name, l.Name) != nil {
			return nil
		}
	}
	return &l
}

func (d decoder) linkTarget(n *node, to *LinkTarget) *fault {
	return d.structure(n, targetShape, func(name string, v *node) *fault {
		if name == "name" {
			return d.text(v, &to.Name)
		}
		return d.linkEndField(name, v, &to.LinkEnd)
	})
}

func (d decoder) linkEnd(n *node, to *LinkEnd) *fault {
	return d.structure(n, linkEndShape, func(name string, v *node) *fault {
		return d.linkEndField(name, v, to)
	})
}

func (d decoder) linkEndField(name string, v *node, to *LinkEnd) (f *fault) {
	if name == "config" {
		to.Config, f = listOf(d, v, d.config)
	} else {
		to.Secrets, f = listOf(d, v, d.secret)
	}
	return f
}

func (d decoder) scaler(n *node) (*SpreadScaler, *fault) {
	s := &SpreadScaler{}
	given := false
	f := d.structure(n, scalerShape, func(name string, v *node) (f *fault) {
		if name == "spread" {
			s.Spread, f = listOf(d, v, d.spread)
			return f
		}
		if given {
			return d.after(n, "duplicate field `instances`")
		}
		given = true
		return d.unsigned(v, &s.Instances)
	})
	if f != nil {
		return nil, f
	}
	if !given {
		return nil, d.after(n, missing("instances"))
	}
	return s, nil
}

func (d decoder) spread(n *node) (Spread, *fault) {
	var s Spread
	f := d.structure(n, spreadShape, func(name string, v *node) *fault {
		switch name {
		case "name":
			return d.text(v, &s.Name)
		case "requirements":
			return d.stringMap(v, &s.Requirements)
		default:
			if isNull(v) {
				return nil
			}
			s.Weight = new(uint64)
			return d.unsigned(v, s.Weight)
		}
	})
	s.Requirements = nonEmpty(s.Requirements)
	return s, f
}

func (d decoder) unsigned(n *node, to *uint64) *fault {
	switch {
	case n.kind != integer:
		return d.wrong(n, "usize")
	case n.num.negative:
		return d.at(n, "invalid value: "+d.describe(n)+", expected usize")
	}
	*to = n.num.integer
	return nil
}
