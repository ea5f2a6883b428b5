package catalog

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"wadm/config/natsconn"
	"wadm/tenancy"
)

// entry is what the index remembers of one head.
type entry struct {
	// broken: the head cannot be decoded; only revision means anything then.
	broken          bool
	revision        uint64
	last            storedVersion
	deployedVersion *string
	// deployedBody is the body key of the deployed version, empty when none is.
	deployedBody string
	born         string
	deploys      uint64
	versions     int
	// change is the newest entry of the history.
	change Change
}

// wanted is the part of an entry whose change the watchers are told.
type wanted struct {
	broken bool
	body   string
	born   string
	times  uint64
}

func (e entry) wanted() wanted {
	if e.broken {
		return wanted{broken: true, times: e.revision}
	}
	if e.deployedBody == "" {
		return wanted{}
	}
	return wanted{body: e.deployedBody, born: e.born, times: e.deploys}
}

// Cause tells the newest change of an application from memory: its id and the
// trace context of the request that made it. Both are empty when nothing is known.
func (c *Catalog) Cause(key tenancy.LatticeKey, app string) (id, traceparent string) {
	x := &c.index
	x.mu.Lock()
	defer x.mu.Unlock()
	change := x.apps[key][app].change
	return change.ID, change.Trace
}

type waiter struct{ changed func() }

// Watch calls changed once at the start and then whenever the deployed manifests
// of a lattice may have changed, until ctx ends; it returns nil then. It may call
// too often, never too seldom, as long as Run runs. After a call, Deployed shows
// the change. changed must return at once; it is called from one goroutine that
// serves all lattices.
func (c *Catalog) Watch(ctx context.Context, key tenancy.LatticeKey, changed func()) error {
	if _, err := tenancy.ParseToken(key.Token()); err != nil {
		return err
	}
	w := &waiter{changed: changed}
	x := &c.index
	x.mu.Lock()
	if x.waiters[key] == nil {
		x.waiters[key] = map[*waiter]struct{}{}
	}
	x.waiters[key][w] = struct{}{}
	x.mu.Unlock()
	defer func() {
		x.mu.Lock()
		defer x.mu.Unlock()
		delete(x.waiters[key], w)
		if len(x.waiters[key]) == 0 {
			delete(x.waiters, key)
		}
	}()
	changed()
	<-ctx.Done()
	return nil
}

// again asks for a new list.
func (x *index) again() {
	select {
	case x.restart <- struct{}{}:
	default:
	}
}

// advance notes that everything up to revision was seen. x.mu is held.
func (x *index) advance(revision uint64) {
	x.position = max(x.position, revision)
	close(x.moved)
	x.moved = make(chan struct{})
}

// follow keeps the index current until ctx ends.
func (c *Catalog) follow(ctx context.Context) error {
	for try := 0; ctx.Err() == nil; try++ {
		err := c.followOnce(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, errListAgain), errors.Is(err, natsconn.ErrReconnected), errors.Is(err, jetstream.ErrNoHeartbeat):
			c.log.Info("reading the index of applications again", "because", err)
			try = 0
		default:
			c.lost(err)
		}
		pause(ctx, try)
	}
	return nil
}

// lost notes why changes are not followed, and says so once per reason.
func (c *Catalog) lost(err error) {
	gone := errors.Is(err, jetstream.ErrStreamNotFound) || errors.Is(err, nats.ErrStreamNotFound)
	if gone {
		err = fmt.Errorf("bucket %s: %w", c.cfg.Bucket, ErrLost)
	}
	x := &c.index
	x.mu.Lock()
	news := x.trouble == nil || x.trouble.Error() != err.Error()
	x.trouble = err
	x.mu.Unlock()
	switch {
	case !news:
	case gone:
		c.log.Error("the catalog has been deleted; what runs is left as it is", "error", err)
	default:
		c.log.Warn("following the catalog failed; trying again", "error", err)
	}
}

// errListAgain ends followOnce without anything being wrong.
var errListAgain = errors.New("list again")

// followOnce lists all heads and follows their changes. Whatever may have hidden
// a change ends it: a marker can expire meanwhile, so that only a new list tells
// what is gone.
func (c *Catalog) followOnce(ctx context.Context) error {
	following, end := context.WithCancelCause(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		select {
		case <-c.index.restart:
			end(errListAgain)
		case <-following.Done():
		}
	})
	prefix, listed := "$KV."+c.cfg.Bucket+".", false
	err := natsconn.Follow(following, c.js, natsconn.Followed{Stream: "KV_" + c.cfg.Bucket, Subjects: prefix + "*.*.*"}, func(m natsconn.Message) (keyed, bool) {
		return c.decode(strings.TrimPrefix(m.Subject, prefix), m.Seq, m.Op(), m.Data), true
	}, func(heads []keyed) {
		if listed {
			for _, s := range heads {
				c.update(s)
			}
			return
		}
		listed = true
		fresh := map[tenancy.LatticeKey]map[string]entry{}
		var position uint64
		for _, s := range heads {
			s.fold(fresh)
			position = max(position, s.revision)
		}
		c.replace(fresh, position)
	})
	if err == nil {
		err = context.Cause(following)
	}
	end(nil)
	wg.Wait()
	return err
}

// keyed is one head as it is stored, or the marker of a removed one.
type keyed struct {
	foreign, gone bool
	key           tenancy.LatticeKey
	app           string
	revision      uint64
	entry         entry
}

// decode reads what is stored under a key.
func (c *Catalog) decode(name string, revision uint64, op jetstream.KeyValueOp, value []byte) keyed {
	key, app, ok := split(name)
	s := keyed{foreign: !ok, gone: op != jetstream.KeyValuePut, key: key, app: app, revision: revision, entry: entry{revision: revision}}
	if s.foreign {
		c.log.Error("a foreign key in the catalog is ignored", "key", name)
	}
	if s.foreign || s.gone {
		return s
	}
	h, err := decodeHead(value)
	if err != nil {
		s.entry.broken = true
		c.log.Error("an application cannot be read and is left as it is", "tenant", key.Tenant, "lattice", key.Lattice,
			"application", app, "revision", revision, "error", err)
		return s
	}
	e := &s.entry
	e.last = h.last()
	e.born = h.Born
	e.deploys = h.Deploys
	e.versions = len(h.Versions)
	if n := len(h.Changes); n > 0 {
		e.change = h.Changes[n-1]
	}
	if h.Deployed != nil {
		v, _ := h.find(*h.Deployed)
		e.deployedVersion, e.deployedBody = h.Deployed, v.Body
	}
	return s
}

// fold puts a stored head into apps and tells whether the wanted state changed.
func (s keyed) fold(apps map[tenancy.LatticeKey]map[string]entry) (changed bool) {
	if s.foreign {
		return false
	}
	before := apps[s.key][s.app]
	if s.gone {
		delete(apps[s.key], s.app)
		if len(apps[s.key]) == 0 {
			delete(apps, s.key)
		}
		return before.wanted() != wanted{}
	}
	if apps[s.key] == nil {
		apps[s.key] = map[string]entry{}
	}
	apps[s.key][s.app] = s.entry
	return before.wanted() != s.entry.wanted()
}

// update folds one change into the index and calls the lattice's watchers.
func (c *Catalog) update(s keyed) {
	x := &c.index
	x.mu.Lock()
	changed := s.fold(x.apps)
	x.advance(s.revision)
	var call []*waiter
	if changed {
		for w := range x.waiters[s.key] {
			call = append(call, w)
		}
	}
	x.mu.Unlock()
	for _, w := range call {
		w.changed()
	}
}

// replace puts a complete list in place of the index and calls the watchers of
// the lattices that differ.
func (c *Catalog) replace(fresh map[tenancy.LatticeKey]map[string]entry, position uint64) {
	x := &c.index
	x.mu.Lock()
	old := x.apps
	x.apps = fresh
	x.loaded, x.trouble = true, nil
	x.advance(position)
	var call []*waiter
	for key, ws := range x.waiters {
		if !sameWanted(old[key], fresh[key]) {
			for w := range ws {
				call = append(call, w)
			}
		}
	}
	x.mu.Unlock()
	for _, w := range call {
		w.changed()
	}
}

func sameWanted(a, b map[string]entry) bool {
	for name, e := range a {
		if e.wanted() != b[name].wanted() {
			return false
		}
	}
	for name, e := range b {
		if e.wanted() != a[name].wanted() {
			return false
		}
	}
	return true
}
