package simhost

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"wadm/scheduler/lattice"
)

// store is what the hosts of a lattice share.
type store struct {
	records map[string]*sourceRecord
	// shown is what link.get answers: records, later by the lag.
	shown   map[string][]lattice.Link
	configs map[string]config
	claims  map[string]storedClaims
	// foreign are the keys of links and names of configurations of others.
	foreignLinks   map[linkKey]bool
	foreignConfigs map[string]bool
}

// sourceRecord holds the links out of one component or provider.
type sourceRecord struct {
	url   string // reference at its first start; empty when a link came first
	links []lattice.Link
}

type config struct{ value map[string]string }

type storedClaims struct {
	Claims
	component bool
}

// linkKey is what link.del goes by.
type linkKey struct {
	source               lattice.WorkloadID
	namespace, pkg, name string
}

func keyOf(k lattice.Link) linkKey { return linkKey{k.Source, k.Namespace, k.Package, k.Name} }

func newStore() store {
	return store{
		records: map[string]*sourceRecord{}, shown: map[string][]lattice.Link{}, configs: map[string]config{}, claims: map[string]storedClaims{},
		foreignLinks: map[linkKey]bool{}, foreignConfigs: map[string]bool{},
	}
}

// touch writes the record of an id back, or a first one.
func (s *store) touch(id, url string) *sourceRecord {
	r := s.records[id]
	if r == nil {
		r = &sourceRecord{url: url}
		s.records[id] = r
	}
	return r
}

func (s *store) addClaims(c *Claims, component bool) {
	if c != nil && c.Subject != "" {
		s.claims[c.Subject] = storedClaims{*c, component}
	}
}

func (s *store) appendLinks(b []byte) []byte {
	b = append(b, '[')
	first := true
	for _, source := range slices.Sorted(maps.Keys(s.shown)) {
		for _, k := range s.shown[source] {
			if !first {
				b = append(b, ',')
			}
			first = false
			b = appendLinkFields(newObject(b), k).end()
		}
	}
	return append(b, ']')
}

func (s *store) appendClaims(b []byte) []byte {
	b = append(b, '[')
	for i, key := range slices.Sorted(maps.Keys(s.claims)) {
		if i > 0 {
			b = append(b, ',')
		}
		c := s.claims[key]
		m := map[string]string{
			"iss": c.Issuer, "issuer": c.Issuer, "name": c.Name, "rev": strconv.Itoa(c.Revision), "revision": strconv.Itoa(c.Revision),
			"sub": c.Subject, "subject": c.Subject, "version": c.Version,
		}
		if c.component {
			m["call_alias"], m["tags"] = "", ""
		} else {
			m["config_schema"] = ""
		}
		b = appendMap(b, m)
	}
	return append(b, ']')
}

// show makes a record's links visible to link.get after the lag.
func (l *Lattice) show(source string) {
	links := slices.Clone(l.store.records[source].links)
	apply := func() { l.store.shown[source] = links }
	if l.cfg.LinkLag > 0 {
		l.after(l.cfg.LinkLag, apply)
		return
	}
	apply()
}

func (h *Host) putLink(r request) {
	k, err := decodeLink(r.msg.Data)
	if err != nil {
		h.malformed(r, "failed to deserialize wrpc link definition", err)
		return
	}
	l := h.lattice
	if l.store.foreignLinks[keyOf(k)] {
		l.violate(h, r.record, RuleForeign, "link "+string(k.Source)+" "+k.Name)
	}
	changed, refusal := l.putLink(k)
	if refusal != "" {
		h.emit(lattice.LinkSetFailed, appendLinkFields(newObject(l.scratch()).str("error", refusal), k).end())
		h.refuse(r, refusal)
		return
	}
	if !changed {
		l.needless(r.record)
	}
	h.emit(lattice.LinkSet, appendLinkFields(newObject(l.scratch()), k).end())
	h.accept(r, "successfully set link")
}

// putLink stores a link, or says why not.
func (l *Lattice) putLink(k lattice.Link) (changed bool, refusal string) {
	var missing strings.Builder
	for _, name := range slices.Concat(k.SourceConfig, k.TargetConfig) {
		if _, ok := l.store.configs[name]; ok {
			continue
		}
		if isSecret(name) {
			missing.WriteString("Secret reference " + name + " not found in config store. ")
		} else {
			missing.WriteString("Configuration " + name + " not found in config store. ")
		}
	}
	if missing.Len() > 0 {
		return false, "Failed to validate configuration and secrets. " + missing.String()
	}
	rec := l.store.records[string(k.Source)]
	if rec == nil {
		rec = &sourceRecord{}
	}
	at := -1
	for i, o := range rec.links {
		if keyOf(o) != keyOf(k) {
			continue
		}
		if o.Target == k.Target {
			if at < 0 {
				at = i
			}
		} else if slices.ContainsFunc(o.Interfaces, func(f string) bool { return slices.Contains(k.Interfaces, f) }) {
			return false, "link already exists with different target, consider deleting the existing link or using a different link name"
		}
	}
	l.store.records[string(k.Source)] = rec
	if at < 0 {
		rec.links = append(rec.links, k)
		changed = true
	} else {
		o := rec.links[at]
		changed = !slices.Equal(o.Interfaces, k.Interfaces) || !slices.Equal(o.SourceConfig, k.SourceConfig) || !slices.Equal(o.TargetConfig, k.TargetConfig)
		rec.links[at] = k
	}
	l.show(string(k.Source))
	return changed, ""
}

func (h *Host) deleteLink(r request) {
	k, err := decodeLinkKey(r.msg.Data)
	if err != nil {
		h.malformed(r, "failed to deserialize wrpc link definition", err)
		return
	}
	l := h.lattice
	rec := l.store.records[string(k.Source)]
	if rec == nil {
		l.needless(r.record)
		h.accept(r, "successfully deleted link (spec doesn't exist)")
		return
	}
	o := newObject(l.scratch())
	if at := slices.IndexFunc(rec.links, func(o lattice.Link) bool { return keyOf(o) == keyOf(k) }); at >= 0 {
		if l.store.foreignLinks[keyOf(k)] {
			l.violate(h, r.record, RuleForeign, "link "+string(k.Source)+" "+k.Name)
		}
		gone, last := rec.links[at], len(rec.links)-1
		rec.links[at] = rec.links[last]
		rec.links = rec.links[:last]
		l.show(string(k.Source))
		o = o.strs("interfaces", gone.Interfaces).str("target", string(gone.Target))
	} else {
		l.needless(r.record)
	}
	h.emit(lattice.LinkDeleted, o.str("name", k.Name).str("source_id", string(k.Source)).str("wit_namespace", k.Namespace).str("wit_package", k.Package).end())
	h.accept(r, "successfully deleted link")
}

func (h *Host) putConfig(r request) {
	value, err := decodeConfig(r.msg.Data)
	if err != nil {
		h.malformed(r, "config data should be a map of string -> string", err)
		return
	}
	if !validKey(r.rest) {
		h.refuse(r, "unable to store config data")
		return
	}
	l := h.lattice
	if l.store.foreignConfigs[r.rest] {
		l.violate(h, r.record, RuleForeign, "config "+r.rest)
	}
	if old, ok := l.store.configs[r.rest]; ok && maps.Equal(old.value, value) {
		l.needless(r.record)
	}
	l.store.configs[r.rest] = config{value}
	h.configEvent(lattice.ConfigSet, r.rest)
	h.accept(r, "successfully put config")
}

func (h *Host) getConfig(r request) {
	c, ok := h.lattice.store.configs[r.rest]
	if !ok {
		h.accept(r, "Configuration not found")
		return
	}
	h.answer(r, appendMap(nil, c.value))
}

func (h *Host) deleteConfig(r request) {
	if !validKey(r.rest) {
		h.refuse(r, "Unable to delete config data")
		return
	}
	l := h.lattice
	if _, ok := l.store.configs[r.rest]; !ok {
		l.needless(r.record)
	} else if l.store.foreignConfigs[r.rest] {
		l.violate(h, r.record, RuleForeign, "config "+r.rest)
	}
	delete(l.store.configs, r.rest)
	h.configEvent(lattice.ConfigDeleted, r.rest)
	h.accept(r, "successfully deleted config")
}

func (h *Host) configEvent(kind lattice.EventKind, name string) {
	h.emit(kind, newObject(h.lattice.scratch()).str("config_name", name).end())
}

// resolve reads configurations for a workload, or says why it cannot. What a
// host has once read never becomes missing on it.
func (h *Host) resolve(names []string) (failed string) {
	for _, secret := range []bool{false, true} {
		for _, name := range names {
			if _, ok := h.lattice.store.configs[name]; ok || h.used[name] || isSecret(name) != secret {
				continue
			}
			if secret {
				return "Unable to fetch requested secrets: Secret reference " + name + " not found in config store"
			}
			return "Unable to fetch requested config: Config " + name + " does not exist"
		}
	}
	for _, name := range names {
		if h.used == nil {
			h.used = map[string]bool{}
		}
		h.used[name] = true
	}
	return ""
}

// validKey is what a KV bucket takes as a key without dots.
func validKey(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_', c == '/', c == '=':
		default:
			return false
		}
	}
	return s != ""
}
