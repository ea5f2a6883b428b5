package simhost

import (
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"

	"wadm/scheduler/lattice"
)

// fields is a JSON object whose members are looked at one by one, the way hosts
// do: names match exactly, unknown ones are ignored, null is a value only where
// a field is optional, and a missing required field is an error.
type fields struct {
	m   map[string]json.RawMessage
	err error
}

func decodeFields(body []byte) *fields {
	f := &fields{}
	if !utf8.Valid(body) {
		f.err = errors.New("not UTF-8")
		return f
	}
	f.err = json.Unmarshal(body, &f.m)
	if f.err == nil && f.m == nil {
		f.err = errors.New("null is no object")
	}
	return f
}

func (f *fields) has(name string) bool { _, ok := f.m[name]; return ok }

// get decodes a field into v. Absent or null required fields fail.
func (f *fields) get(name string, v any, required bool) {
	raw, ok := f.m[name]
	switch {
	case f.err != nil:
	case !ok && required:
		f.err = fmt.Errorf("missing field %q", name)
	case !ok:
	case string(raw) == "null":
		f.err = fmt.Errorf("field %q is null", name)
	default:
		if err := json.Unmarshal(raw, v); err != nil {
			f.err = fmt.Errorf("field %q: %w", name, err)
		}
	}
}

func (f *fields) required(name string) (s string) { f.get(name, &s, true); return s }
func (f *fields) str(name string) (s string)      { f.get(name, &s, false); return s }
func (f *fields) flag(name string) (b bool)       { f.get(name, &b, false); return b }
func (f *fields) strs(name string, must bool) []string {
	var ps []*string
	f.get(name, &ps, must)
	ss := make([]string, 0, len(ps))
	for _, p := range ps {
		if p == nil {
			f.fail(name)
			return nil
		}
		ss = append(ss, *p)
	}
	return ss
}

// dict is an object of strings. With null, null and absence are nil.
func (f *fields) dict(name string, required, null bool) map[string]string {
	if null && string(f.m[name]) == "null" {
		return nil
	}
	var ps map[string]*string
	f.get(name, &ps, required)
	return f.flat(name, ps)
}

func (f *fields) flat(name string, ps map[string]*string) map[string]string {
	if ps == nil {
		return nil
	}
	m := make(map[string]string, len(ps))
	for k, p := range ps {
		if p == nil {
			f.fail(name)
			return nil
		}
		m[k] = *p
	}
	return m
}

func (f *fields) fail(name string) {
	if f.err == nil {
		f.err = fmt.Errorf("field %q holds a null", name)
	}
}

// scale is the request to scale a component.
type scale struct {
	id, ref, hostID string
	annotations     map[string]string
	count           uint32
	counted         bool // count was named at all
	limits          map[string]string
	config          []string
	allowUpdate     bool
}

func decodeScale(body []byte) (scale, error) {
	f := decodeFields(body)
	s := scale{
		id: f.required("component_id"), ref: f.str("component_ref"), hostID: f.str("host_id"),
		annotations: f.dict("annotations", false, true), counted: f.has("count"),
		limits: f.dict("component_limits", false, true), config: f.strs("config", false), allowUpdate: f.flag("allow_update"),
	}
	f.get("count", &s.count, false)
	return s, f.err
}

// update is the request to replace a component's image.
type update struct {
	id, ref, hostID string
	annotations     map[string]string
}

func decodeUpdate(body []byte) (update, error) {
	f := decodeFields(body)
	u := update{id: f.str("component_id"), ref: f.str("new_component_ref"), hostID: f.str("host_id"), annotations: f.dict("annotations", false, true)}
	return u, f.err
}

// start is the request to start a provider.
type start struct {
	id, ref, hostID string
	annotations     map[string]string
	config          []string
}

func decodeStart(body []byte) (start, error) {
	f := decodeFields(body)
	s := start{
		id: f.required("provider_id"), ref: f.str("provider_ref"), hostID: f.str("host_id"),
		annotations: f.dict("annotations", false, true), config: f.strs("config", false),
	}
	return s, f.err
}

// stopRequest is the request to stop a provider.
type stopRequest struct{ id, hostID string }

func decodeStop(body []byte) (stopRequest, error) {
	f := decodeFields(body)
	name := "provider_id"
	if !f.has(name) && f.has("provider_ref") {
		name = "provider_ref"
	}
	s := stopRequest{id: f.required(name), hostID: f.str("host_id")}
	return s, f.err
}

// auction is the request for bids of hosts; what is component or provider.
type auction struct {
	id, ref     string
	constraints map[string]string
}

func decodeAuction(what string, body []byte) (auction, error) {
	f := decodeFields(body)
	a := auction{id: f.required(what + "_id"), ref: f.str(what + "_ref"), constraints: f.dict("constraints", true, false)}
	return a, f.err
}

// decodeHostStop reads the host a stop request means; an empty body means any.
func decodeHostStop(body []byte) (hostID string, err error) {
	if len(body) == 0 {
		return "", nil
	}
	f := decodeFields(body)
	hostID = f.str("host_id")
	if string(f.m["timeout"]) != "null" {
		var ms uint64
		f.get("timeout", &ms, false)
	}
	return hostID, f.err
}

func decodeLabel(body []byte) (key, value string, err error) {
	f := decodeFields(body)
	key, value = f.required("key"), f.required("value")
	return key, value, f.err
}

func decodeLabelKey(body []byte) (key string, err error) {
	f := decodeFields(body)
	key = f.required("key")
	return key, f.err
}

func decodeLink(body []byte) (lattice.Link, error) {
	f := decodeFields(body)
	k := f.linkKey()
	k.Target = lattice.WorkloadID(f.required("target"))
	k.Interfaces = f.strs("interfaces", true)
	k.SourceConfig, k.TargetConfig = f.strs("source_config", false), f.strs("target_config", false)
	return k, f.err
}

// decodeLinkKey reads what identifies a link; interfaces and target do not.
func decodeLinkKey(body []byte) (lattice.Link, error) {
	f := decodeFields(body)
	k := f.linkKey()
	return k, f.err
}

func (f *fields) linkKey() lattice.Link {
	k := lattice.Link{
		Source: lattice.WorkloadID(f.required("source_id")), Name: "default",
		Namespace: f.required("wit_namespace"), Package: f.required("wit_package"),
	}
	f.get("name", &k.Name, false)
	return k
}

// decodeConfig reads a configuration: a flat object of strings.
func decodeConfig(body []byte) (map[string]string, error) {
	f := &fields{}
	var ps map[string]*string
	switch {
	case !utf8.Valid(body):
		return nil, errors.New("not UTF-8")
	default:
		if err := json.Unmarshal(body, &ps); err != nil {
			return nil, err
		}
	}
	if ps == nil {
		return nil, errors.New("null is no object")
	}
	m := f.flat("value", ps)
	return m, f.err
}

func decodeRegistries(body []byte) error {
	f := decodeFields(body)
	for name, raw := range f.m {
		entry := decodeFields(raw)
		for _, field := range []string{"registryType", "username", "password", "token"} {
			if string(entry.m[field]) != "null" {
				entry.str(field)
			}
		}
		if entry.err != nil && f.err == nil {
			f.err = fmt.Errorf("registry %q: %w", name, entry.err)
		}
	}
	return f.err
}
