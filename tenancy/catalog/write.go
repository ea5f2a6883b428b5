package catalog

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"wadm/tenancy"
	"wadm/tenancy/manifest"
)

// Stored is the outcome of a put.
type Stored struct {
	// Version is the version put, given or generated.
	Version string
	// Previous is the version that was the last put one before; empty at the first.
	Previous string
	// Total is the number of stored versions, this one included.
	Total int
}

// Put stores a new version of the application m.Metadata.Name, as the last put
// one. A manifest without a version gets a unique one. by names who asked and may
// be empty. Nothing becomes deployed and m is not changed.
//
// It fails with ErrVersionExists, ErrTooLarge, ErrUndecodable, a
// tenancy.ErrBadName or an error of the storage.
func (c *Catalog) Put(ctx context.Context, key tenancy.LatticeKey, m *manifest.Manifest, by string) (Stored, error) {
	app := m.Metadata.Name
	if err := check(key, app); err != nil {
		return Stored{}, err
	}
	id, err := c.newID()
	if err != nil {
		return Stored{}, err
	}
	version, given := m.Version()
	if !given {
		version = id
		m = withVersion(m, version)
	}
	// Not json.Marshal, which would escape what HTML minds.
	data, err := m.MarshalJSON()
	if err != nil {
		return Stored{}, fmt.Errorf("encode manifest: %w", err)
	}
	var out Stored
	body, written := id, false
	err = c.change(ctx, key, app, id, func(ctx context.Context, cur *head) (*head, error) {
		if cur == nil {
			if written {
				// A head that was stored unheard may have been removed since, with the body it
				// names; whoever removes it may still be at it. If it was not, the sweep
				// removes that body.
				if body, err = c.newID(); err != nil {
					return nil, err
				}
				written = false
			}
			cur = &head{Format: headFormat, Born: body}
		}
		if _, ok := cur.find(version); ok {
			return nil, fmt.Errorf("put %s %q: %w", app, version, ErrVersionExists)
		}
		if len(cur.Versions) >= c.cfg.MaxVersions {
			return nil, fmt.Errorf("put %s: %w: %d versions are stored, the most is %d", app, ErrTooLarge, len(cur.Versions), c.cfg.MaxVersions)
		}
		if !written {
			if err := c.writeBody(ctx, bodyKey(key, app, body), data); err != nil {
				return nil, err
			}
			written = true
		}
		next := cur.clone()
		out = Stored{Version: version, Total: len(cur.Versions) + 1}
		if len(cur.Versions) > 0 {
			out.Previous = cur.last().Version
		}
		v := storedVersion{Version: version, Body: body, At: c.cfg.Now().UTC(), By: by}
		v.describe(m)
		next.Versions = append(next.Versions, v)
		next.note(Change{ID: id, At: v.At, By: by, Did: "put", Version: version, Trace: traceOf(ctx)})
		return next, nil
	})
	if err != nil {
		if written && !isAmbiguous(err) {
			c.removeBodies(ctx, key, app, []string{body})
		}
		return Stored{}, err
	}
	return out, nil
}

func (v *storedVersion) describe(m *manifest.Manifest) {
	d, ok := m.Metadata.Annotations[manifest.AnnotationDescription]
	switch {
	case !ok:
	case len(d) > maxDescription:
		v.LongDescription = true
	default:
		v.Description = &d
	}
}

func withVersion(m *manifest.Manifest, version string) *manifest.Manifest {
	c := *m
	c.Metadata.Annotations = maps.Clone(m.Metadata.Annotations)
	if c.Metadata.Annotations == nil {
		c.Metadata.Annotations = map[string]string{}
	}
	c.Metadata.Annotations[manifest.AnnotationVersion] = version
	return &c
}

// Deployment is the outcome of a deploy.
type Deployment struct {
	Version string
	// Manifest is shared: it must not be changed.
	Manifest *manifest.Manifest
}

// Deploy makes a version the deployed one: the given one, or the last put one when
// version is nil. allow sees the manifest first and may refuse it; its error is
// returned as it is. It may be called again when somebody was faster.
//
// A head is changed on a condition, a lattice is not: two instances may each find
// that nothing forbids their application and store both. So allow is asked once
// more after the write. When it refuses then, what was deployed before is deployed
// again; of several deploys of one application, as if the refused ones had never
// been. Of two applications that exclude each other the later write sees the
// earlier one: one is refused or both are, never none.
//
// Between write and refusal the version counts as deployed for everybody who
// reads. It stays so if the instance ends there: nobody can tell such a deploy from
// one that was allowed. Who asked got no answer and has to see what is deployed;
// the next deploy or undeploy replaces it.
//
// It fails with ErrNotFound, ErrNoVersion, ErrUndecodable, what allow said, or an
// error of the storage.
func (c *Catalog) Deploy(ctx context.Context, key tenancy.LatticeKey, app string, version *string, by string,
	allow func(context.Context, *manifest.Manifest) error,
) (Deployment, error) {
	if err := check(key, app); err != nil {
		return Deployment{}, err
	}
	id, err := c.newID()
	if err != nil {
		return Deployment{}, err
	}
	var out Deployment
	err = c.change(ctx, key, app, id, func(ctx context.Context, cur *head) (*head, error) {
		if cur == nil {
			return nil, fmt.Errorf("deploy %s: %w", app, ErrNotFound)
		}
		v := cur.last()
		if version != nil {
			var ok bool
			if v, ok = cur.find(*version); !ok {
				return nil, fmt.Errorf("deploy %s %q: %w", app, *version, ErrNoVersion)
			}
		}
		m, err := c.body(ctx, key, app, v)
		if err != nil {
			return nil, err
		}
		if allow != nil {
			if err := allow(ctx, m); err != nil {
				return nil, err
			}
		}
		out = Deployment{Version: v.Version, Manifest: m}
		next := cur.clone()
		next.deploy(v, id)
		next.note(Change{ID: id, At: c.cfg.Now().UTC(), By: by, Did: "deploy", Version: v.Version, Trace: traceOf(ctx)})
		return next, nil
	})
	if err != nil {
		return Deployment{}, err
	}
	if allow == nil {
		return out, nil
	}
	if err := allow(ctx, out.Manifest); err != nil {
		if failed := c.withdraw(ctx, key, app, by, id); failed != nil {
			// Not err: the version may still be deployed, so this is no refusal.
			return Deployment{}, fmt.Errorf("withdraw %s %q, refused because %s: %w", app, out.Version, err.Error(), failed)
		}
		return Deployment{}, err
	}
	return out, nil
}

// errForgotten: an earlier server has changed the head since, and kept no list of what
// was replaced.
var errForgotten = errors.New("what it replaced is not known any more")

// withdraw takes back the deploy with the id refused. What it replaced is deployed
// again, or becomes what the next deploy replaced: that one may be refused as well.
// Nothing is left to do when the application was undeployed since.
func (c *Catalog) withdraw(ctx context.Context, key tenancy.LatticeKey, app, by, refused string) error {
	// Also when whoever asked is gone: nothing else would take the version back.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	id, err := c.newID()
	if err != nil {
		return err
	}
	return c.change(ctx, key, app, id, func(ctx context.Context, cur *head) (*head, error) {
		if cur == nil || cur.Deployed == nil {
			return cur, nil
		}
		i := slices.IndexFunc(cur.Replaced, func(r replaced) bool { return r.By == refused })
		if i < 0 {
			if last := slices.IndexFunc(cur.Changes, func(ch Change) bool { return ch.ID == refused }); last >= 0 &&
				!slices.ContainsFunc(cur.Changes[last+1:], func(ch Change) bool { return ch.Did == "deploy" || ch.Did == "undeploy" }) {
				return nil, errForgotten
			}
			return cur, nil
		}
		next := cur.clone()
		next.Replaced = slices.Delete(next.Replaced, i, i+1)
		body := cur.Replaced[i].Body
		if i < len(next.Replaced) {
			// No entry in the history, since what is deployed stays. Doing it twice is
			// harmless: the second time there is nothing to find.
			next.Replaced[i].Body = body
			return next, nil
		}
		note := Change{ID: id, At: c.cfg.Now().UTC(), By: by, Did: "undeploy", Version: *cur.Deployed, Trace: traceOf(ctx)}
		// The version may have been deleted since.
		if j := slices.IndexFunc(next.Versions, func(v storedVersion) bool { return v.Body == body }); j >= 0 {
			v := next.Versions[j]
			note.Did, note.Version = "deploy", v.Version
			next.Deployed = &v.Version
			next.Deploys++
		} else {
			next.undeploy()
		}
		next.note(note)
		return next, nil
	})
}

// body reads the manifest of a version that a head names. A version that was
// removed in between counts as unknown; one that is lost as undecodable.
func (c *Catalog) body(ctx context.Context, key tenancy.LatticeKey, app string, v storedVersion) (*manifest.Manifest, error) {
	name := bodyKey(key, app, v.Body)
	m, ok, err := c.readManifest(ctx, name)
	if err != nil {
		return nil, err
	}
	if ok {
		return m, nil
	}
	return nil, c.missing(ctx, key, app, v)
}

func (c *Catalog) missing(ctx context.Context, key tenancy.LatticeKey, app string, v storedVersion) error {
	now, err := c.read(ctx, key, app)
	if err != nil {
		return err
	}
	if now.head == nil {
		return fmt.Errorf("read %s: %w", app, ErrNotFound)
	}
	if still, ok := now.head.find(v.Version); !ok || still.Body != v.Body {
		return fmt.Errorf("read %s %q: %w", app, v.Version, ErrNoVersion)
	}
	return fmt.Errorf("read %s: %w: the body is missing", bodyKey(key, app, v.Body), ErrUndecodable)
}

// Undeploy makes no version the deployed one. was tells whether one was.
func (c *Catalog) Undeploy(ctx context.Context, key tenancy.LatticeKey, app, by string) (was bool, err error) {
	if err := check(key, app); err != nil {
		return false, err
	}
	id, err := c.newID()
	if err != nil {
		return false, err
	}
	err = c.change(ctx, key, app, id, func(_ context.Context, cur *head) (*head, error) {
		if cur == nil {
			return nil, fmt.Errorf("undeploy %s: %w", app, ErrNotFound)
		}
		was = cur.Deployed != nil
		if !was {
			return cur, nil
		}
		next := cur.clone()
		next.undeploy()
		next.note(Change{ID: id, At: c.cfg.Now().UTC(), By: by, Did: "undeploy", Version: *cur.Deployed, Trace: traceOf(ctx)})
		return next, nil
	})
	if err != nil {
		return false, err
	}
	return was, nil
}

// Deleted is the outcome of a delete.
type Deleted struct {
	// Gone: the application does not exist any more.
	Gone bool
	// Undeployed: what was removed was the deployed version.
	Undeployed bool
}

// Delete removes one version, or all of them when version is nil. Removing the
// last version removes the application.
//
// It fails with ErrNotFound, ErrNoVersion, ErrUndecodable or an error of the
// storage.
func (c *Catalog) Delete(ctx context.Context, key tenancy.LatticeKey, app string, version *string, by string) (Deleted, error) {
	if err := check(key, app); err != nil {
		return Deleted{}, err
	}
	id, err := c.newID()
	if err != nil {
		return Deleted{}, err
	}
	var out Deleted
	var bodies []string
	err = c.change(ctx, key, app, id, func(_ context.Context, cur *head) (*head, error) {
		if cur == nil {
			return nil, fmt.Errorf("delete %s: %w", app, ErrNotFound)
		}
		if version == nil {
			out = Deleted{Gone: true, Undeployed: cur.Deployed != nil}
			bodies = cur.bodies()
			return nil, nil
		}
		v, ok := cur.find(*version)
		if !ok {
			return nil, fmt.Errorf("delete %s %q: %w", app, *version, ErrNoVersion)
		}
		bodies = []string{v.Body}
		out = Deleted{Gone: len(cur.Versions) == 1, Undeployed: cur.Deployed != nil && *cur.Deployed == *version}
		if out.Gone {
			return nil, nil
		}
		next := cur.clone()
		next.Versions = slices.DeleteFunc(next.Versions, func(w storedVersion) bool { return w.Body == v.Body })
		if out.Undeployed {
			next.undeploy()
		}
		next.note(Change{ID: id, At: c.cfg.Now().UTC(), By: by, Did: "delete", Version: *version, Trace: traceOf(ctx)})
		return next, nil
	})
	if err != nil {
		return Deleted{}, err
	}
	c.removeBodies(ctx, key, app, bodies)
	return out, nil
}
