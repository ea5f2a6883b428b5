package catalog

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"wadm/tenancy"
	"wadm/tenancy/manifest"
)

// Application is what is stored of one application.
type Application struct {
	Name string
	// Versions in the order in which they were put.
	Versions []Version
	// Deployed is the deployed version, nil when none is.
	Deployed *string
	// Changes are the most recent ones, oldest first.
	Changes []Change
}

// Version is one stored version.
type Version struct {
	Version string
	// At is when it was put, By who put it (empty when nobody said).
	At time.Time
	By string
}

// Summary is what a list shows of an application.
type Summary struct {
	Name string
	// Version is the last put one.
	Version string
	// Description of the last put version, nil when it has none.
	Description *string
	// Deployed is the deployed version, nil when none is.
	Deployed *string
}

// Application reads one application. It fails with ErrNotFound, ErrUndecodable, a
// tenancy.ErrBadName or an error of the storage.
func (c *Catalog) Application(ctx context.Context, key tenancy.LatticeKey, app string) (Application, error) {
	if err := check(key, app); err != nil {
		return Application{}, err
	}
	r, err := c.read(ctx, key, app)
	if err != nil {
		return Application{}, err
	}
	if r.head == nil {
		return Application{}, fmt.Errorf("read %s: %w", app, ErrNotFound)
	}
	out := Application{Name: app, Deployed: r.head.Deployed, Changes: r.head.Changes}
	for _, v := range r.head.Versions {
		out.Versions = append(out.Versions, Version{Version: v.Version, At: v.At, By: v.By})
	}
	return out, nil
}

// Manifest reads the canonical JSON of a version, the last put one when version is
// nil. The bytes are shared and must not be changed. It fails with ErrNotFound,
// ErrNoVersion, ErrUndecodable, a tenancy.ErrBadName or an error of the storage.
func (c *Catalog) Manifest(ctx context.Context, key tenancy.LatticeKey, app string, version *string) ([]byte, error) {
	if err := check(key, app); err != nil {
		return nil, err
	}
	r, err := c.read(ctx, key, app)
	if err != nil {
		return nil, err
	}
	if r.head == nil {
		return nil, fmt.Errorf("read %s: %w", app, ErrNotFound)
	}
	v := r.head.last()
	if version != nil {
		var ok bool
		if v, ok = r.head.find(*version); !ok {
			return nil, fmt.Errorf("read %s %q: %w", app, *version, ErrNoVersion)
		}
	}
	data, ok, err := c.readBody(ctx, bodyKey(key, app, v.Body))
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, c.missing(ctx, key, app, v)
	}
	if !json.Valid(data) {
		return nil, fmt.Errorf("read %s: %w", bodyKey(key, app, v.Body), ErrUndecodable)
	}
	return data, nil
}

// List lists the applications of a lattice by name. Records that cannot be decoded
// are left out; they were logged when they were first seen.
func (c *Catalog) List(ctx context.Context, key tenancy.LatticeKey) ([]Summary, error) {
	apps, err := c.entries(ctx, key)
	if err != nil {
		return nil, err
	}
	out := make([]Summary, 0, len(apps))
	var mu sync.Mutex
	var g errgroup.Group
	g.SetLimit(together)
	for name, e := range apps {
		if e.broken {
			continue
		}
		g.Go(func() error {
			s := Summary{Name: name, Version: e.last.Version, Description: e.last.Description, Deployed: e.deployedVersion}
			if e.last.LongDescription {
				m, ok, err := c.readManifest(ctx, bodyKey(key, name, e.last.Body))
				if err != nil && !errors.Is(err, ErrUndecodable) {
					return err
				}
				if err == nil && ok {
					d := m.Metadata.Annotations[manifest.AnnotationDescription]
					s.Description = &d
				}
			}
			mu.Lock()
			defer mu.Unlock()
			out = append(out, s)
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	slices.SortFunc(out, func(a, b Summary) int { return cmp.Compare(a.Name, b.Name) })
	return out, nil
}

// Deployed reads the deployed manifests of a lattice, by application name. They
// are shared: nobody may change them. A nil manifest stands for an application
// whose record cannot be decoded: nobody knows what should run of it, so whatever
// does must be left alone. Storage errors fail the whole call.
func (c *Catalog) Deployed(ctx context.Context, key tenancy.LatticeKey) (map[string]*manifest.Manifest, error) {
	apps, err := c.entries(ctx, key)
	if err != nil {
		return nil, err
	}
	out := make(map[string]*manifest.Manifest, len(apps))
	var mu sync.Mutex
	var g errgroup.Group
	g.SetLimit(together)
	for name, e := range apps {
		if !e.broken && e.deployedBody == "" {
			continue
		}
		g.Go(func() error {
			m, ok, err := c.deployed(ctx, key, name, e)
			if err != nil || !ok {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			out[name] = m
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return out, nil
}

// deployed reads the deployed manifest of one application; ok is false when there
// is none any more, m nil when it cannot be decoded.
func (c *Catalog) deployed(ctx context.Context, key tenancy.LatticeKey, name string, e entry) (m *manifest.Manifest, ok bool, err error) {
	if e.broken {
		return nil, true, nil
	}
	body := e.deployedBody
	// The version may be replaced and removed between the two reads.
	for range 3 {
		m, ok, err = c.readManifest(ctx, bodyKey(key, name, body))
		if errors.Is(err, ErrUndecodable) {
			c.log.Error("a deployed manifest cannot be decoded; the application is left as it is", "tenant", key.Tenant,
				"lattice", key.Lattice, "application", name, "error", err)
			return nil, true, nil
		}
		if err != nil || ok {
			return m, ok, err
		}
		r, err := c.read(ctx, key, name)
		if errors.Is(err, ErrUndecodable) {
			return nil, true, nil
		}
		if err != nil {
			return nil, false, err
		}
		if r.head == nil || r.head.Deployed == nil {
			return nil, false, nil
		}
		v, _ := r.head.find(*r.head.Deployed)
		if v.Body == body {
			c.log.Error("a deployed manifest is missing; the application is left as it is", "tenant", key.Tenant,
				"lattice", key.Lattice, "application", name, "key", bodyKey(key, name, body))
			return nil, true, nil
		}
		body = v.Body
	}
	return nil, false, fmt.Errorf("read deployed version of %s: %w", name, ErrConflict)
}

// Lattices lists every lattice that has an application, in no order.
func (c *Catalog) Lattices(ctx context.Context) ([]tenancy.LatticeKey, error) {
	current, err := c.catchUp(ctx, "*.*.*")
	if err != nil {
		return nil, err
	}
	if !current {
		all, err := c.listStored(ctx, "*.*.*")
		if err != nil {
			return nil, err
		}
		return keysOf(all), nil
	}
	c.index.mu.Lock()
	defer c.index.mu.Unlock()
	return keysOf(c.index.apps), nil
}

func keysOf(m map[tenancy.LatticeKey]map[string]entry) []tenancy.LatticeKey {
	out := make([]tenancy.LatticeKey, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	return out
}

// entries gives every application of a lattice as of now.
func (c *Catalog) entries(ctx context.Context, key tenancy.LatticeKey) (map[string]entry, error) {
	if _, err := tenancy.ParseToken(key.Token()); err != nil {
		return nil, err
	}
	filter := key.Token() + ".*"
	current, err := c.catchUp(ctx, filter)
	if err != nil {
		return nil, err
	}
	if !current {
		all, err := c.listStored(ctx, filter)
		return all[key], err
	}
	c.index.mu.Lock()
	defer c.index.mu.Unlock()
	return maps.Clone(c.index.apps[key]), nil
}

// catchUpWait is how long a read waits for the index before it goes to the store.
const catchUpWait = 500 * time.Millisecond

// catchUp waits until the index has seen every change of the keys matching filter
// that was acknowledged before the call. It returns false when the index does not
// get there soon, which is normal before Run.
func (c *Catalog) catchUp(ctx context.Context, filter string) (bool, error) {
	c.index.mu.Lock()
	loaded := c.index.loaded
	c.index.mu.Unlock()
	if !loaded {
		return false, nil
	}
	s, err := c.last(ctx, filter)
	if err != nil {
		return false, err
	}
	if s == nil {
		return true, nil
	}
	t := time.NewTimer(catchUpWait)
	defer t.Stop()
	for {
		c.index.mu.Lock()
		there := c.index.loaded && c.index.position >= s.revision
		moved := c.index.moved
		c.index.mu.Unlock()
		if there {
			return true, nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return false, context.Cause(ctx)
		case <-t.C:
			c.log.Warn("the index of applications lags behind and is read again", "revision", s.revision)
			c.index.again()
			return false, nil
		}
	}
}

// listTries bounds the lists of one call that were behind.
const listTries = 10

// listStored lists heads from the store, without the index. The copy that lists
// may be behind, so the leader is asked first what the list must show: what is
// missing in it counts as unwanted, and running work would be removed.
func (c *Catalog) listStored(ctx context.Context, filter string) (map[tenancy.LatticeKey]map[string]entry, error) {
	for try := 0; ; try++ {
		newest, err := c.last(ctx, filter)
		if err != nil {
			return nil, err
		}
		if newest == nil {
			return nil, nil
		}
		apps, position, err := c.listOnce(ctx, filter)
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", filter, err)
		}
		if position >= newest.revision {
			return apps, nil
		}
		if try+1 == listTries || !pause(ctx, try+3) {
			return nil, fmt.Errorf("list %s: a copy of the bucket is behind: it knows revision %d of %d", filter, position, newest.revision)
		}
	}
}

// listOnce lists heads as one copy of the bucket has them; position is the
// newest revision among them and the markers of removed ones.
func (c *Catalog) listOnce(ctx context.Context, filter string) (apps map[tenancy.LatticeKey]map[string]entry, position uint64, err error) {
	w, err := c.kv.Watch(ctx, filter)
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = w.Stop() }()
	apps = map[tenancy.LatticeKey]map[string]entry{}
	for {
		select {
		case <-ctx.Done():
			return nil, 0, context.Cause(ctx)
		case u, ok := <-w.Updates():
			if !ok {
				return nil, 0, errors.New("the watch ended")
			}
			if u == nil {
				return apps, position, nil
			}
			c.decode(u.Key(), u.Revision(), u.Operation(), u.Value()).fold(apps)
			position = max(position, u.Revision())
		}
	}
}

// split reads a head key; ok is false for foreign keys.
func split(name string) (key tenancy.LatticeKey, app string, ok bool) {
	i := strings.LastIndexByte(name, '.')
	if i < 0 {
		return key, "", false
	}
	key, err := tenancy.ParseToken(name[:i])
	if err != nil {
		return key, "", false
	}
	app, err = tenancy.ParseApp(name[i+1:])
	return key, app, err == nil
}
