package core

import (
	"time"

	"wadm/tenancy"
)

// Reason is why an application or a rule has its status, as a code; the values
// are stable.
type Reason string

// The reasons.
const (
	ReasonAsWanted       Reason = "as-wanted"
	ReasonUnderWay       Reason = "under-way"
	ReasonWaiting        Reason = "waiting"
	ReasonConfiguration  Reason = "waiting-for-configuration"
	ReasonTooFewHosts    Reason = "too-few-hosts"
	ReasonCommandFailed  Reason = "command-failed"
	ReasonNoSuchConfig   Reason = "no-such-configuration"
	ReasonUnhealthy      Reason = "unhealthy"
	ReasonInvalid        Reason = "invalid"
	ReasonUnreadable     Reason = "unreadable"
	ReasonBeingRemoved   Reason = "being-removed"
	ReasonNotYetLookedAt Reason = "not-yet-looked-at"
)

// Condition is a status type with its reason, and since when both are what they are.
type Condition struct {
	Type   tenancy.StatusType `json:"type"`
	Reason Reason             `json:"reason"`
	Since  time.Time          `json:"since"`
}

// renew keeps the moment of a condition that has not changed.
func (c Condition) renew(t tenancy.StatusType, r Reason, now time.Time) Condition {
	if c.Type == t && c.Reason == r {
		return c
	}
	return Condition{Type: t, Reason: r, Since: now}
}

// told is the condition, nil when there is none yet.
func (c Condition) told() *Condition {
	if c.Type == "" {
		return nil
	}
	return &c
}

// conditions are those of an application and of its rules, by scaler id.
type conditions struct {
	app   Condition
	rules map[string]Condition
}

// observe notes since when an application that is not deployed has its status.
func (s *State) observe(name string, t tenancy.StatusType, r Reason, now time.Time) {
	s.conditions[name] = conditions{app: s.conditions[name].app.renew(t, r, now)}
}

// observeRules notes since when a deployed application and its rules have their
// status. The reason of the application is that of its worst rule.
func (s *State) observeRules(a *app, st *tenancy.Status, now time.Time) {
	old := s.conditions[a.name]
	next := conditions{rules: make(map[string]Condition, len(a.scalers))}
	worst := ReasonAsWanted
	for i, sc := range a.scalers {
		t, r := st.Scalers[i].Status.Type, sc.reason
		switch {
		case sc.fixed != nil:
			r = ReasonInvalid
		case sc.status.Type == "":
			r = ReasonNotYetLookedAt
		}
		if t == st.Status.Type && worst == ReasonAsWanted {
			worst = r
		}
		next.rules[sc.id] = old.rules[sc.id].renew(t, r, now)
	}
	next.app = old.app.renew(st.Status.Type, worst, now)
	s.conditions[a.name] = next
}
