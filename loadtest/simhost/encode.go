package simhost

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"time"

	"wadm/scheduler/lattice"
)

// dict is an immutable map of strings, kept once per lattice however many
// components and hosts carry it, together with its JSON form.
type dict struct {
	m    map[string]string
	json string
}

// managed tells work of wadm from work of others.
func (d *dict) managed() bool { return d.m[lattice.AnnotationManagedBy] == lattice.ManagedBy }

func (l *Lattice) dict(m map[string]string) *dict {
	b := appendMap(nil, m)
	if d, ok := l.dicts[string(b)]; ok {
		return d
	}
	d := &dict{m: maps.Clone(m), json: string(b)}
	if d.m == nil {
		d.m = map[string]string{}
	}
	l.dicts[d.json] = d
	return d
}

func appendMap(b []byte, m map[string]string) []byte {
	b = append(b, '{')
	for i, k := range slices.Sorted(maps.Keys(m)) {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, k)
		b = append(b, ':')
		b = appendString(b, m[k])
	}
	return append(b, '}')
}

func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c >= 0x7f || c == '"' || c == '\\' {
			q, _ := json.Marshal(s) // a string always encodes
			return append(b, q...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

func appendStrings(b []byte, ss []string) []byte {
	b = append(b, '[')
	for i, s := range ss {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, s)
	}
	return append(b, ']')
}

// object builds a JSON object field by field.
type object []byte

func newObject(b []byte) object { return append(b, '{') }

func (o object) key(k string) object {
	if o[len(o)-1] != '{' {
		o = append(o, ',')
	}
	o = appendString(o, k)
	return append(o, ':')
}
func (o object) str(k, v string) object           { return appendString(o.key(k), v) }
func (o object) raw(k, v string) object           { return append(o.key(k), v...) }
func (o object) num(k string, v int64) object     { return strconv.AppendInt(o.key(k), v, 10) }
func (o object) strs(k string, v []string) object { return appendStrings(o.key(k), v) }
func (o object) end() []byte                      { return append(o, '}') }

// orNull is a field that is null when empty.
func (o object) orNull(k, v string) object {
	if v == "" {
		return o.raw(k, "null")
	}
	return o.str(k, v)
}

func appendLinkFields(o object, k lattice.Link) object {
	return o.str("source_id", string(k.Source)).str("target", string(k.Target)).str("name", k.Name).
		str("wit_namespace", k.Namespace).str("wit_package", k.Package).strs("interfaces", k.Interfaces).
		strs("source_config", k.SourceConfig).strs("target_config", k.TargetConfig)
}

// appendEnvelope appends a CloudEvent of h around data.
func (h *Host) appendEnvelope(b []byte, kind lattice.EventKind, data []byte) []byte {
	t := h.eventTime()
	o := newObject(b).str("specversion", "1.0").key("id")
	o = append(o, '"')
	o = appendEventID(o, t, h.lattice.rand)
	o = append(o, '"')
	o = o.key("type")
	o = append(o, `"com.wasmcloud.lattice.`...)
	o = append(o, kind...)
	o = append(o, '"')
	o = o.str("source", string(h.id)).str("datacontenttype", "application/json").key("time")
	o = append(o, '"')
	o = t.AppendFormat(o, time.RFC3339Nano)
	o = append(o, '"')
	o = o.key("data")
	o = append(o, data...)
	return o.end()
}

// eventTime is now, but later than the host's event before: hosts stamp
// nanoseconds, and a coarse or simulated clock must not make two events equal.
func (h *Host) eventTime() time.Time {
	t := time.Now().UTC()
	if !t.After(h.lastEvent) {
		t = h.lastEvent.Add(1)
	}
	h.lastEvent = t
	return t
}

// appendInventory appends what heartbeats and host.get show.
func (h *Host) appendInventory(b []byte) []byte {
	o := newObject(b).key("components")
	o = append(o, '[')
	for i, c := range h.components {
		if i > 0 {
			o = append(o, ',')
		}
		o = newObject(o).str("id", c.id).str("image_ref", c.image)
		if c.claims != nil && c.claims.Name != "" {
			o = o.str("name", c.claims.Name)
		}
		o = o.raw("annotations", c.annotations.json)
		o = o.num("revision", c.claims.revision()).num("max_instances", int64(c.max))
		if c.limits == "" {
			o = o.raw("limits", "null")
		} else {
			o = o.raw("limits", c.limits)
		}
		o = o.end()
	}
	o = append(o, ']')
	o = o.key("providers")
	o = append(o, '[')
	for i, p := range h.providers {
		if i > 0 {
			o = append(o, ',')
		}
		o = newObject(o).str("id", p.id).str("image_ref", p.image)
		if p.claims != nil && p.claims.Name != "" {
			o = o.str("name", p.claims.Name)
		}
		o = o.num("revision", p.claims.revision()).raw("annotations", p.annotations.json).end()
	}
	o = append(o, ']')
	o = o.str("host_id", string(h.id)).str("friendly_name", h.friendlyName).raw("labels", h.labels.json).str("version", h.lattice.cfg.Version)
	return h.appendUptime(o).end()
}

func (h *Host) appendUptime(o object) object {
	up := h.uptime()
	o = o.key("uptime_human")
	o = append(o, '"')
	o = appendUptime(o, up)
	o = append(o, '"')
	return o.num("uptime_seconds", up)
}

func (c *Claims) revision() int64 {
	if c == nil {
		return 0
	}
	return int64(c.Revision)
}
