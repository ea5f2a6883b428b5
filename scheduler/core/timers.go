package core

import (
	"cmp"
	"container/heap"
	"fmt"
	"maps"
	"slices"
	"time"

	"wadm/scheduler/lattice"
)

// timer says that something may be due for a target. Timers are not taken back;
// one whose reason has gone is passed over.
type timer struct {
	at time.Time
	t  target
}

// timers is a heap by time.
type timers []timer

func (x timers) Len() int           { return len(x) }
func (x timers) Less(i, j int) bool { return x[i].at.Before(x[j].at) }
func (x timers) Swap(i, j int)      { x[i], x[j] = x[j], x[i] }
func (x *timers) Push(v any)        { *x = append(*x, v.(timer)) }
func (x *timers) Pop() any {
	last := (*x)[len(*x)-1]
	*x = (*x)[:len(*x)-1]
	return last
}

func (s *State) remind(t target, at time.Time) { heap.Push(&s.timers, timer{at, t}) }

// nextTimer is the earliest time at which something is due; zero for never.
func (s *State) nextTimer() time.Time {
	for len(s.timers) > 0 {
		x := s.timers[0]
		if f := s.flights[x.t]; f != nil && f.due().Equal(x.at) {
			return x.at
		}
		if b := s.backoffs[x.t]; b != nil && b.next.Equal(x.at) {
			return x.at
		}
		if slices.ContainsFunc(s.overtaken[x.t], func(f *flight) bool { return f.deadline.Equal(x.at) }) {
			return x.at
		}
		heap.Pop(&s.timers)
	}
	return time.Time{}
}

// expire fails commands past their deadline, asks after quiet ones and looks
// again at what has waited long enough.
func (s *State) expire(now time.Time) {
	var due []target
	for len(s.timers) > 0 && !now.Before(s.timers[0].at) {
		due = append(due, heap.Pop(&s.timers).(timer).t)
	}
	slices.SortFunc(due, compareTargets)
	for _, t := range slices.Compact(due) {
		if f := s.flights[t]; f != nil && !now.Before(f.due()) {
			s.overdue(t, f, now)
		}
		if b := s.backoffs[t]; b != nil && !now.Before(b.next) {
			s.touch(t)
		}
		s.overtakenOver(t, func(f *flight) bool { return !now.Before(f.deadline) })
	}
}

// overdue handles a command that has been quiet for too long.
func (s *State) overdue(t target, f *flight, now time.Time) {
	late := !now.Before(f.deadline)
	switch {
	case t.Host != "" && s.obs.Hosts[t.Host] == nil:
		// The host is gone. Should it come back, it may do it until the deadline.
		if late {
			s.land(t)
			return
		}
		f.askAt = f.deadline
	case late && s.acceptedAgain(t, f):
		// Its events were lost, or seem older than it for the host's clock.
		s.keepAnnotations(t, f)
		s.succeed(t)
		return
	case late:
		reason := fmt.Sprintf("no outcome of %s within %s", f.cmd.Kind, s.cfg.CommandDeadline)
		if f.cmd.Kind == lattice.UpdateComponent {
			reason = fmt.Sprintf("host %s has not taken image %s within %s; the old version keeps serving", s.called(t.Host), f.cmd.Image, s.cfg.CommandDeadline)
		}
		s.fail(t, reason, now)
		if t.Host != "" {
			s.ask(Query{Kind: AskInventory, Host: t.Host}, now)
		} else {
			s.lookFirst(t, now)
		}
		return
	case s.repeatable(t, f, now):
		// The predecessor may have stored it and died before it sent it.
		s.land(t)
		s.issue(f.cmd, true, now)
		return
	default:
		f.askAt = now.Add(askAfter)
		if t.Host != "" {
			s.ask(Query{Kind: AskInventory, Host: t.Host}, now)
		}
	}
	s.remind(t, f.due())
}

// acceptedAgain tells whether a host has accepted a scale command for the second time
// without telling what came of it, and what runs speaks of no other. Once it may have
// failed, and that have been lost.
func (s *State) acceptedAgain(t target, f *flight) bool {
	if !f.accepted || f.cmd.Kind != lattice.ScaleComponent || f.cmd.Count == 0 || !s.done(t, f) {
		return false
	}
	b := s.backoffs[t]
	return b != nil && b.scaler == f.cmd.Scaler || s.asWanted(t, f)
}

func (s *State) flightsInOrder() []target {
	return slices.SortedFunc(maps.Keys(s.flights), compareTargets)
}

func compareTargets(a, b target) int {
	return cmp.Or(cmp.Compare(a.Host, b.Host), a.Workload.Compare(b.Workload), cmp.Compare(a.Config, b.Config), compareLinks(a.Link, b.Link))
}
