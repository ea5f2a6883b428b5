package main

import (
	"context"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"wadm/config/natsconn/natstest"
	"wadm/shard"
	"wadm/shard/natskv"
)

// TestTheStateOfAnInstance, of which all that time changes is when it was seen.
func TestTheStateOfAnInstance(t *testing.T) {
	t.Parallel()
	const active, draining = shard.MemberActive, shard.MemberDraining
	for name, tt := range map[string]struct {
		record shard.MemberState // empty: there is none
		life   shard.Incarnation // of the record
		ago    time.Duration
		inView shard.MemberState // empty: it is not
		want   string
	}{
		"in the view":                          {record: active, life: "now", inView: active, want: "active"},
		"in the view and silent":               {record: active, life: "now", ago: time.Minute, inView: active, want: "active"},
		"just come":                            {record: active, life: "now", ago: late, want: stateOutside},
		"out of the view and silent":           {record: active, life: "now", ago: late + 1, want: stateLost},
		"draining, and the view knows not yet": {record: draining, life: "now", inView: active, want: "draining"},
		"draining, and only the view knows":    {record: active, life: "now", inView: draining, want: "draining"},
		"draining outside":                     {record: draining, life: "now", ago: time.Minute, want: "draining"},
		"ended":                                {inView: active, want: stateGone},
		"restarted":                            {record: active, life: "next", inView: active, want: stateGone},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := &observed{}
			if tt.record != "" {
				o.members = []natskv.Seen{{Member: shard.Member{ID: "a", Incarnation: tt.life, State: tt.record}, Ago: tt.ago}}
			}
			if tt.inView != "" {
				o.view.Members = []shard.ViewMember{{ID: "a", Incarnation: "now", State: tt.inView}}
			}
			if got := o.state("a", "now"); got != tt.want {
				t.Errorf("it is %s, want %s", got, tt.want)
			}
		})
	}
}

// TestInstancesAreShownWithoutTheLedger, by what they say of themselves; who owns a
// lattice is not.
func TestInstancesAreShownWithoutTheLedger(t *testing.T) {
	t.Parallel()
	s := owning(t, 3)
	if _, err := s.Connect(t).SubscribeSync("silent.>"); err != nil {
		t.Fatal(err)
	}
	for from, to := range map[string]string{
		"$JS.API.*.*.wadm_ledger": "silent.$1.$2", "$JS.API.*.*.wadm_ledger.>": "silent.$1.$2.>", "$JS.API.*.*.*.wadm_ledger.>": "silent.$1.$2.$3.>",
	} {
		if err := s.NATS().GlobalAccount().AddMapping(from, to); err != nil {
			t.Fatal(err)
		}
	}
	const warning = "warning: cannot read the claims: read claims: context deadline exceeded; OWNS is what each instance said last.\n"
	for _, c := range []struct {
		args           string
		code           int
		stdout, stderr string
	}{
		{"instance list", 0, `(?m)^one .* active +yes +70 .*\ntwo .* active +yes +71 `, warning},
		{"instance list -o json", 0, `"reported": true,\n(.*\n)*.*"held": 70,\n(.*\n)*.*"held": 71,`, warning},
		{"ring show", 0, `(?m)^one +active +4 +\d +70 .*\ntwo +active +4 +\d +71 `, warning},
		{"ring show -o json", 0, `"reported": true,\n(.*\n)*.*"owned": 70,\n(.*\n)*.*"owned": 71,`, warning},
		{"ring owner", exitUnreachable, "^$", "error: cannot read the claims\n"},
		{"ring owner l1", exitUnreachable, "^$", "error: cannot read the claim\n"},
	} {
		t.Run(c.args, func(t *testing.T) {
			t.Parallel()
			r := call(t.Context(), t, "", nil, append([]string{"-s", s.URL(), "--timeout", "2s"}, strings.Fields(c.args)...)...)
			if r.code != c.code || !regexp.MustCompile(c.stdout).MatchString(r.stdout) || !strings.HasPrefix(r.stderr, c.stderr) {
				t.Errorf("%+v", r)
			}
		})
	}
}

// TestInstancesWithAStreamPrefixAreFoundAndDrained: the same option names the same
// objects here as there.
func TestInstancesWithAStreamPrefixAreFoundAndDrained(t *testing.T) {
	t.Parallel()
	bin, err := server()
	if err != nil {
		t.Fatal(err)
	}
	for _, prefix := range []string{"acme", "acme.east"} {
		t.Run(prefix, func(t *testing.T) {
			t.Parallel()
			w := &world{t: t, nats: natstest.Start(t)}
			var log lockedBuffer
			cmd := exec.Command(bin, "-s", w.nats.URL(), "--instance-id", "one", "--stream-prefix", prefix)
			cmd.Stderr = &log
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			t.Cleanup(func() { _ = cmd.Process.Kill() })
			w.until("the instance is listed", func() bool {
				r := w.run("instance", "list", "--stream-prefix", prefix)
				return r.code == 0 && strings.Contains(r.stdout, "one") && strings.Contains(r.stdout, "active") && !strings.Contains(r.stdout, " no ")
			})
			if r := w.run("instance", "drain", "one", "--wait", "--stream-prefix", prefix); r.code != 0 {
				t.Errorf("drain: %+v", r)
			}
			if err := <-ended; err != nil {
				t.Errorf("the drained instance ended with %v:\n%s", err, log.String())
			}
		})
	}
}

// TestADrainIsAskedForFirst, not after what can take as long as --timeout: whoever
// drains an instance may do so because JetStream is not well.
func TestADrainIsAskedForFirst(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t, natstest.WithoutJetStream())
	nc := s.Connect(t)
	asked, err := nc.SubscribeSync(">") // and never answers for JetStream
	if err != nil {
		t.Fatal(err)
	}
	drain, err := nc.Subscribe("wadm.sys.one.drain", func(m *nats.Msg) { _ = m.Respond([]byte(`{"instance": "one", "held": 7}`)) })
	if err == nil {
		err = nc.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	r := call(t.Context(), t, "", nil, "-s", s.URL(), "--timeout", "2s", "instance", "drain", "one")
	if r.code != 0 || r.stderr != "one gives up 7 lattices.\n" {
		t.Errorf("%+v", r)
	}
	if m, err := asked.NextMsgWithContext(t.Context()); err != nil || m.Subject != drain.Subject {
		t.Errorf("asked first: %+v, %v", m, err)
	}
}

// TestADrainThatTakesNATSAlong, as that of the only server of a wadm dev does, is not
// waited for as long as one that goes on.
func TestADrainThatTakesNATSAlong(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t)
	nc := s.Connect(t)
	stopped := make(chan struct{})
	_, err := nc.Subscribe("wadm.sys.dev.drain", func(m *nats.Msg) {
		_, _ = m.Respond([]byte(`{"instance": "dev", "held": 2}`)), nc.Flush()
		go func() { defer close(stopped); s.Stop() }()
	})
	if err == nil {
		err = nc.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	r := call(ctx, t, "", nil, "-s", s.URL(), "instance", "drain", "dev", "--wait")
	const said = "dev gives up 2 lattices.\nerror: dev was asked to drain; whether it has left cannot be seen\ncause: the connection to NATS is lost and does not come back\nhint: the last server of a 'wadm dev' takes NATS with it, and then all has ended\n"
	if r.code != exitUnreachable || r.stderr != said {
		t.Errorf("%+v", r)
	}
	<-stopped
}
