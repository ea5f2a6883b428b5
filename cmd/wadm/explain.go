package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/sync/errgroup"

	"wadm/config"
	"wadm/scheduler"
	"wadm/scheduler/core"
	"wadm/telemetry"
	"wadm/tenancy"
	"wadm/tenancy/api"
)

// explainSubject is followed by tenant and lattice. Every instance hears it; the
// one that owns the lattice answers.
const explainSubject = "wadm.sys.explain."

// explainer answers questions about an application wherever its lattice is owned.
// A lattice that moves meanwhile is answered for by nobody, or by the old owner;
// both do no harm.
type explainer struct {
	nc        *nats.Conn
	scheduler *scheduler.Scheduler
	instance  string
	// heard tells whether whoever waits on a subject may be answered.
	heard func(reply string) bool
	log   *slog.Logger
}

// heardBy tells whether another instance, or a tool, that waits on a subject may be
// answered.
func heardBy(cfg config.Config) func(reply string) bool {
	prefixes := append(cfg.API.Inboxes(), cfg.NATS.InboxPrefix)
	return func(reply string) bool { return api.IsInbox(reply, prefixes...) }
}

// explanation is the answer: the core's, and who gave it.
type explanation struct {
	Owner string `json:"owner"`
	core.Explanation
}

// explain asks this instance, and if it does not own the lattice, all others.
func (e *explainer) explain(ctx context.Context, key tenancy.LatticeKey, app string) (json.RawMessage, error) {
	answer, err := e.own(ctx, key, app)
	if !errors.Is(err, scheduler.ErrNotOwned) {
		return answer, err
	}
	m, err := e.nc.RequestWithContext(ctx, explainSubject+key.Token(), []byte(app))
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, nats.ErrNoResponders), errors.Is(err, nats.ErrTimeout):
		return nil, fmt.Errorf("explain %s of %s: %w", app, key, api.ErrNoOwner)
	case err != nil:
		return nil, fmt.Errorf("explain %s of %s: %w", app, key, err)
	case !json.Valid(m.Data):
		return nil, fmt.Errorf("explain %s of %s: the owner's answer is not JSON", app, key)
	}
	return m.Data, nil
}

// own answers for a lattice of this instance.
func (e *explainer) own(ctx context.Context, key tenancy.LatticeKey, app string) (json.RawMessage, error) {
	var x explanation
	x.Owner = e.instance
	// The state is not ours to keep: it is read where it lives.
	err := e.scheduler.Inspect(ctx, key, func(s *core.State) { x.Explanation = s.Explain(app, time.Now()) })
	switch {
	case errors.Is(err, scheduler.ErrNotOwned):
		return nil, err
	case errors.Is(err, context.DeadlineExceeded):
		return nil, fmt.Errorf("explain %s: %w: the worker is busy", app, api.ErrNoOwner)
	case err != nil:
		return nil, fmt.Errorf("explain %s: %w", app, err)
	}
	answer, err := json.Marshal(x)
	if err != nil {
		return nil, fmt.Errorf("encode explanation: %w", err)
	}
	return answer, nil
}

const (
	// explainAtOnce bounds the answers under way; explainWaiting the questions that
	// wait for them. What exceeds both is not answered.
	explainAtOnce, explainWaiting = 8, 256
	// explainPatience is how long a worker may take to be looked at.
	explainPatience = 2 * time.Second
)

// run answers the other instances until ctx ends.
func (e *explainer) run(ctx context.Context) error {
	questions := make(chan *nats.Msg, explainWaiting)
	sub, err := e.nc.ChanSubscribe(explainSubject+"*.*", questions)
	if err != nil {
		return fmt.Errorf("subscribe to questions of other instances: %w", err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	var g errgroup.Group
	for range explainAtOnce {
		g.Go(func() error {
			for {
				select {
				case m := <-questions:
					e.answer(ctx, m)
				case <-ctx.Done():
					return nil
				}
			}
		})
	}
	return g.Wait()
}

// answer replies to a question about a lattice of this instance; to all others it
// is deaf, as another one will reply.
func (e *explainer) answer(ctx context.Context, m *nats.Msg) {
	key, err := tenancy.ParseToken(strings.TrimPrefix(m.Subject, explainSubject))
	if err != nil || !e.heard(m.Reply) {
		return
	}
	app, err := tenancy.ParseApp(string(m.Data))
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, explainPatience)
	defer cancel()
	reply, err := e.own(ctx, key, app)
	if errors.Is(err, scheduler.ErrNotOwned) || ctx.Err() != nil {
		return
	}
	if err == nil {
		err = m.Respond(reply)
	}
	if err != nil {
		e.log.Warn("another instance's question was not answered", "tenant", key.Tenant, "lattice", key.Lattice, telemetry.LogError, err)
	}
}
