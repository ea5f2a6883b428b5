package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"wadm/config/terminal"
	"wadm/tenancy"
	"wadm/tenancy/api"
)

// waiting says how to wait for an application.
type waiting struct {
	wait, failFast bool
	timeout        time.Duration
	// goal is the status to wait for, words what goes on meanwhile.
	goal  tenancy.StatusType
	words string
}

const (
	// settle is how long the goal must have lasted when it was the status before
	// the request too: the scheduler publishes changes only, and a request that
	// changes nothing is followed by silence.
	settle = time.Second
	// failFor is how long an application must have been failed for --fail-fast.
	failFor = time.Second
	// look is how often the status is read, in case a publication was missed.
	look = 2 * time.Second
)

// errReached ends the following of statuses.
var errReached = errors.New("done")

// await makes a request and waits for what comes of it. The statuses are
// followed from before the request, so that none is missed.
func (p *program) await(ctx context.Context, client *api.Client, name string, w waiting, act func(context.Context) (string, error)) (version string, last tenancy.Status, err error) {
	limited, cancel := context.WithTimeout(ctx, w.timeout)
	defer cancel()
	group, gctx := errgroup.WithContext(limited)
	statuses := make(chan tenancy.Status, 16)
	seen := func(s tenancy.Status) {
		select {
		case statuses <- s:
		case <-gctx.Done():
		}
	}
	group.Go(func() error {
		if err := client.WatchStatus(gctx, name, seen); err != nil {
			return failed(fmt.Sprintf("cannot follow %q", name), err)
		}
		return nil
	})
	group.Go(func() error {
		var prior tenancy.Status
		select {
		case prior = <-statuses:
		case <-gctx.Done():
			return nil
		}
		request, done := context.WithTimeout(gctx, min(time.Duration(p.conn.timeout), defaultTimeout))
		defer done()
		var aerr error
		if version, aerr = act(request); aerr != nil {
			return aerr
		}
		t := &tracker{p: p, w: w, begun: time.Now(), prior: prior.Status.Type, name: name, last: prior}
		ferr := t.follow(gctx, client, statuses)
		last = t.last
		return ferr
	})
	err = group.Wait()
	switch {
	case errors.Is(err, errReached):
		return version, last, nil
	case ctx.Err() != nil:
		f := &failure{code: exitInterrupted, what: fmt.Sprintf("stopped waiting; the %s of %q goes on", w.words, name),
			hint: fmt.Sprintf("follow it with 'wadmctl app status %s --watch'", name)}
		if version == "" && w.goal == tenancy.StatusDeployed {
			f.what, f.hint = "interrupted before the server answered", ""
		}
		return version, last, f
	case limited.Err() != nil:
		return version, last, timedOut(name, w, last)
	}
	return version, last, err
}

// timedOut tells a wait that ended in a failed state from one that may still succeed.
func timedOut(name string, w waiting, last tenancy.Status) error {
	f := &failure{
		code:  exitTimeout,
		what:  fmt.Sprintf("%q is not %s after %v; the %s goes on", name, w.goal, w.timeout, w.words),
		cause: describe(last),
		hint:  fmt.Sprintf("see 'wadmctl app status %s'", name),
	}
	if last.Status.Type == tenancy.StatusFailed {
		f.code = exitAppFailed
	}
	return f
}

// describe is the status as the cause of an error.
func describe(s tenancy.Status) error {
	if s.Status.Type == "" {
		return errors.New("no status was seen")
	}
	return errors.New(strings.TrimSuffix(string(s.Status.Type)+": "+s.Status.Message, ": "))
}

// tracker judges statuses and reports progress.
type tracker struct {
	p     *program
	w     waiting
	name  string
	begun time.Time
	prior tenancy.StatusType
	last  tenancy.Status
	// moved: a status other than the goal was seen since the request.
	moved bool
	// failedAt is since when the application is failed; zero while it is not.
	failedAt time.Time
	said     string
}

// follow returns errReached, a failure, or nil when ctx ends.
func (t *tracker) follow(ctx context.Context, client *api.Client, statuses <-chan tenancy.Status) error {
	check := time.NewTicker(50 * time.Millisecond)
	defer check.Stop()
	again := time.NewTicker(look)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case s := <-statuses:
			t.see(s, time.Now())
		case <-again.C:
			if s, err := client.Status(ctx, t.name); err == nil {
				t.see(s, time.Now())
			}
		case <-check.C:
		}
		if err := t.verdict(time.Now()); err != nil {
			return err
		}
	}
}

func (t *tracker) see(s tenancy.Status, now time.Time) {
	t.last = s
	if s.Status.Type != t.w.goal {
		t.moved = true
	}
	switch {
	case s.Status.Type != tenancy.StatusFailed:
		t.failedAt = time.Time{}
	case t.failedAt.IsZero():
		t.failedAt = now
	}
	if line := progress(t.name, s); line != t.said {
		t.said = line
		t.p.out.say("%6.1fs %s", now.Sub(t.begun).Seconds(), line)
	}
}

// verdict is nil while the wait goes on.
func (t *tracker) verdict(now time.Time) error {
	if t.last.Status.Type == t.w.goal && (t.moved || t.prior != t.w.goal || now.Sub(t.begun) > settle) {
		return errReached
	}
	if t.w.failFast && !t.failedAt.IsZero() && now.Sub(t.failedAt) >= failFor {
		return &failure{exitAppFailed, fmt.Sprintf("%q failed", t.name), describe(t.last),
			"correct the manifest or the hosts and deploy again; until then wadm keeps trying"}
	}
	return nil
}

// progress is a status in one line: how much is ready, and what is not.
func progress(app string, s tenancy.Status) string {
	line := string(s.Status.Type)
	if len(s.Scalers) == 0 {
		if s.Status.Message != "" {
			line += ": " + s.Status.Message
		}
		return terminal.Safe(line)
	}
	ready := 0
	var open []string
	for _, sc := range s.Scalers {
		if sc.Status.Type == tenancy.StatusDeployed {
			ready++
			continue
		}
		text := shortName(app, sc.Name)
		if sc.Status.Message != "" {
			text += ": " + sc.Status.Message
		}
		open = append(open, text)
	}
	line += fmt.Sprintf(" %d/%d", ready, len(s.Scalers))
	if len(open) > 0 {
		slices.Sort(open)
		line += "  " + strings.Join(slices.Compact(open), "; ")
	}
	return terminal.Safe(line)
}

// shortName drops the application in front of the names in a scaler's name.
func shortName(app, name string) string {
	words := strings.Split(name, " ")
	for i, w := range words {
		words[i] = strings.TrimPrefix(w, app+"-")
	}
	return strings.Join(words, " ")
}
