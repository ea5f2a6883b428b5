package catalog

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"wadm/tenancy"
	"wadm/tenancy/manifest"
)

// Adoption says what came from another bucket.
type Adoption struct {
	Bucket string    `json:"bucket"`
	At     time.Time `json:"at"`
	// Done tells whether the bucket was adopted, now or earlier. It is false when
	// there is no such bucket.
	Done bool `json:"done"`
	// Earlier: it was adopted before; the rest is what was done then.
	Earlier bool `json:"-"`
	// Adopted and Present are "tenant/lattice/application": those stored, and those
	// that existed here already and were left alone.
	Adopted []string `json:"adopted,omitempty"`
	Present []string `json:"present,omitempty"`
	// Unlisted are keys of records in no list of names, which the other server did
	// not run either. They were left out.
	Unlisted []string `json:"unlisted,omitempty"`
	// Versions counts the versions adopted.
	Versions int `json:"versions"`
}

func (a Adoption) String() string {
	switch {
	case !a.Done:
		return fmt.Sprintf("there is no bucket %s to adopt", a.Bucket)
	case a.Earlier:
		return fmt.Sprintf("bucket %s was adopted at %s", a.Bucket, a.At.Format(time.RFC3339))
	}
	s := fmt.Sprintf("adopted %d applications with %d versions from bucket %s, which is left as it was", len(a.Adopted), a.Versions, a.Bucket)
	if len(a.Present) > 0 {
		s += fmt.Sprintf("; %d existed here already: %s", len(a.Present), strings.Join(a.Present, ", "))
	}
	if len(a.Unlisted) > 0 {
		s += fmt.Sprintf("; %d are in no list of names and were left out: %s", len(a.Unlisted), strings.Join(a.Unlisted, ", "))
	}
	return s
}

// ErrAmbiguous says that the keys of a bucket can be read in more than one way.
var ErrAmbiguous = errors.New("ambiguous record")

// Adopt copies the applications of an upstream bucket: their versions in order and
// what is deployed. The bucket is only read. It happens once per bucket, however
// often and by however many instances it is called; an application that exists here
// is never touched. tenants are those whose lattices the keys may name; with none,
// the bucket is one of single-tenant mode and everything belongs to
// [tenancy.DefaultTenant].
//
// Everything is read and checked before anything is written. A record that cannot
// be read or that could belong to two applications (ErrAmbiguous) stops it with an
// error that names every such key.
func (c *Catalog) Adopt(ctx context.Context, bucket string, tenants ...tenancy.Tenant) (Adoption, error) {
	report := Adoption{Bucket: bucket}
	if _, err := tenancy.ParseApp(bucket); err != nil {
		return report, fmt.Errorf("adopt bucket %q: ASCII letters, digits, '-' and '_' only", bucket)
	}
	marker := "adopted." + bucket
	switch s, err := c.last(ctx, marker); {
	case err != nil:
		return report, err
	case s != nil && !s.removed:
		if err := json.Unmarshal(s.data, &report); err != nil {
			return report, fmt.Errorf("read %s: %w: %w", marker, ErrUndecodable, err)
		}
		report.Earlier = true
		return report, nil
	}
	kv, err := c.js.KeyValue(ctx, bucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		return report, nil
	}
	if err != nil {
		return report, fmt.Errorf("open bucket %s: %w", bucket, err)
	}
	values, err := readAll(ctx, kv)
	if err != nil {
		return report, err
	}
	found, unlisted, err := resolve(values, tenants)
	if err != nil {
		return report, fmt.Errorf("adopt bucket %s: %w", bucket, err)
	}
	report.Done, report.At, report.Unlisted = true, c.cfg.Now().UTC(), unlisted
	for _, f := range found {
		name := f.key.String() + "/" + f.name
		switch err := c.adopt(ctx, f); {
		case errors.Is(err, errPresent):
			report.Present = append(report.Present, name)
		case err != nil:
			return report, fmt.Errorf("adopt %s: %w", name, err)
		default:
			report.Adopted = append(report.Adopted, name)
			report.Versions += len(f.manifests)
		}
	}
	data, err := json.Marshal(report)
	if err != nil {
		return report, fmt.Errorf("encode adoption: %w", err)
	}
	if err := c.writeBody(ctx, marker, data); err != nil {
		return report, err
	}
	return report, nil
}

var errPresent = errors.New("application exists already")

// adopt stores one application as a whole, unless it exists.
func (c *Catalog) adopt(ctx context.Context, f foreign) error {
	id, err := c.newID()
	if err != nil {
		return err
	}
	now := c.cfg.Now().UTC()
	next := &head{Format: headFormat, Born: id, Deployed: f.deployed}
	if f.deployed != nil {
		next.Deploys = 1
	}
	var written []string
	err = c.change(ctx, f.key, f.name, id, func(ctx context.Context, cur *head) (*head, error) {
		if cur != nil {
			return nil, errPresent
		}
		for _, m := range f.manifests[len(written):] {
			body, err := c.newID()
			if err != nil {
				return nil, err
			}
			data, err := m.MarshalJSON()
			if err != nil {
				return nil, fmt.Errorf("encode manifest: %w", err)
			}
			if err := c.writeBody(ctx, bodyKey(f.key, f.name, body), data); err != nil {
				return nil, err
			}
			written = append(written, body)
			version, _ := m.Version()
			v := storedVersion{Version: version, Body: body, At: now}
			v.describe(m)
			next.Versions = append(next.Versions, v)
		}
		out := next.clone()
		out.note(Change{ID: id, At: now, Did: "adopt"})
		return out, nil
	})
	if err != nil && !isAmbiguous(err) {
		c.removeBodies(ctx, f.key, f.name, written)
	}
	return err
}

// readAll reads every live key of a bucket.
func readAll(ctx context.Context, kv jetstream.KeyValue) (map[string][]byte, error) {
	w, err := kv.WatchAll(ctx, jetstream.IgnoreDeletes())
	if err != nil {
		return nil, fmt.Errorf("list bucket %s: %w", kv.Bucket(), err)
	}
	defer func() { _ = w.Stop() }()
	out := map[string][]byte{}
	for {
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("list bucket %s: %w", kv.Bucket(), context.Cause(ctx))
		case u, ok := <-w.Updates():
			switch {
			case !ok:
				return nil, fmt.Errorf("list bucket %s: the watch ended", kv.Bucket())
			case u == nil:
				return out, nil
			}
			out[u.Key()] = u.Value()
		}
	}
}

// foreign is an application of another bucket.
type foreign struct {
	key       tenancy.LatticeKey
	name      string
	manifests []*manifest.Manifest
	deployed  *string
}

// resolve finds out which key is which application. There, a lattice's list of names
// has the key "{lattice}" and a record "{lattice}-{name}", with "{account}-" before
// both in multi-tenant mode, and every part may hold dashes. So the lists, which are
// arrays, are read first; they tell which records, which are objects, there must be.
func resolve(values map[string][]byte, tenants []tenancy.Tenant) (found []foreign, unlisted []string, err error) {
	var errs []error
	bad := func(key, format string, args ...any) {
		errs = append(errs, fmt.Errorf("key %s: %w", key, fmt.Errorf(format, args...)))
	}
	// who lists a record key.
	type listing struct {
		key  tenancy.LatticeKey
		name string
	}
	listed := map[string][]listing{}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		value := values[name]
		if !bytes.HasPrefix(bytes.TrimSpace(value), []byte("[")) {
			continue
		}
		var apps []string
		if err := json.Unmarshal(value, &apps); err != nil {
			bad(name, "%w: %w", ErrUndecodable, err)
			continue
		}
		if len(apps) == 0 {
			continue
		}
		key, err := latticeOf(name, tenants)
		if err != nil {
			bad(name, "%w", err)
			continue
		}
		for _, app := range apps {
			if _, err := tenancy.ParseApp(app); err != nil {
				bad(name, "%w", err)
				continue
			}
			listed[name+"-"+app] = append(listed[name+"-"+app], listing{key, app})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		value := values[name]
		by := listed[name]
		if bytes.HasPrefix(bytes.TrimSpace(value), []byte("[")) {
			if len(by) > 0 {
				bad(name, "%w: it is the list of names of one lattice and, by the list of %s, application %s", ErrAmbiguous, by[0].key, by[0].name)
			}
			continue
		}
		if len(by) == 0 {
			unlisted = append(unlisted, name)
			continue
		}
		manifests, deployed, err := decodeForeign(value)
		switch {
		case err != nil:
			bad(name, "%w", err)
			continue
		case len(by) > 1:
			bad(name, "%w: it is application %s of %s and application %s of %s", ErrAmbiguous, by[0].name, by[0].key, by[1].name, by[1].key)
			continue
		case len(manifests) == 0:
			bad(name, "%w: it has no versions", ErrUndecodable)
			continue
		}
		f := foreign{key: by[0].key, name: by[0].name, manifests: manifests, deployed: deployed}
		for _, m := range manifests {
			// A name may carry blanks there; the key has it without.
			if own := strings.TrimSpace(m.Metadata.Name); own != f.name {
				bad(name, "%w: the list of %s says it is application %s, but it holds application %s", ErrAmbiguous, f.key, f.name, own)
			}
		}
		found = append(found, f)
	}
	if len(errs) > 0 {
		return nil, nil, errors.Join(errs...)
	}
	slices.SortFunc(found, func(a, b foreign) int {
		return cmp.Or(cmp.Compare(a.key.Token(), b.key.Token()), cmp.Compare(a.name, b.name))
	})
	return found, unlisted, nil
}

// latticeOf reads the key of a list of names.
func latticeOf(name string, tenants []tenancy.Tenant) (tenancy.LatticeKey, error) {
	if len(tenants) == 0 {
		lattice, err := tenancy.ParseLattice(name)
		return tenancy.LatticeKey{Tenant: tenancy.DefaultTenant, Lattice: lattice}, err
	}
	var matches []tenancy.LatticeKey
	for _, t := range tenants {
		rest, ok := strings.CutPrefix(name, string(t)+"-")
		if !ok {
			continue
		}
		if lattice, err := tenancy.ParseLattice(rest); err == nil {
			matches = append(matches, tenancy.LatticeKey{Tenant: t, Lattice: lattice})
		}
	}
	switch len(matches) {
	case 0:
		return tenancy.LatticeKey{}, errors.New("it names no known tenant and lattice")
	case 1:
		return matches[0], nil
	default:
		return tenancy.LatticeKey{}, fmt.Errorf("%w: it is the list of %s and of %s", ErrAmbiguous, matches[0], matches[1])
	}
}

// decodeForeign reads a record, keeping the order of its versions.
func decodeForeign(value []byte) (manifests []*manifest.Manifest, deployed *string, err error) {
	var record struct {
		Manifests json.RawMessage `json:"manifests"`
		Deployed  *string         `json:"deployed_version"`
	}
	if err := json.Unmarshal(value, &record); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrUndecodable, err)
	}
	d := json.NewDecoder(bytes.NewReader(record.Manifests))
	if token, err := d.Token(); err != nil || token != json.Delim('{') {
		return nil, nil, fmt.Errorf("%w: it has no object of manifests", ErrUndecodable)
	}
	known := map[string]bool{}
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return nil, nil, fmt.Errorf("%w: %w", ErrUndecodable, err)
		}
		version, _ := token.(string)
		m := new(manifest.Manifest)
		if err := d.Decode(m); err != nil {
			return nil, nil, fmt.Errorf("%w: version %q: %w", ErrUndecodable, version, err)
		}
		if known[version] {
			return nil, nil, fmt.Errorf("%w: version %q twice", ErrUndecodable, version)
		}
		known[version] = true
		if own, has := m.Version(); !has || own != version {
			m = withVersion(m, version)
		}
		manifests = append(manifests, m)
	}
	if record.Deployed != nil && !known[*record.Deployed] {
		return nil, nil, fmt.Errorf("%w: deployed version %q is not stored", ErrUndecodable, *record.Deployed)
	}
	return manifests, record.Deployed, nil
}
