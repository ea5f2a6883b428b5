package core_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"wadm/scheduler/lattice"
	"wadm/tenancy/manifest"
)

var update = flag.Bool("update", false, "rewrite the expected traces of the stories; read the difference before committing it")

// TestStories runs the scripts in testdata. A script is a list of steps, each a
// command with the trace it leads to below it, indented by "| ". Lines that
// start with "#" tell the story; numbers such as D-01 are those by which the known
// defects of upstream go that the story rules out.
func TestStories(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.story")
	if err != nil || len(files) == 0 {
		t.Fatalf("no stories: %v", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".story"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			got := tell(t, string(text))
			if *update {
				if err := os.WriteFile(f, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(text), got); diff != "" {
				t.Errorf("story went differently (-want +got):\n%s", diff)
			}
		})
	}
}

// tell runs a script and returns it with the traces that really came.
func tell(t *testing.T, text string) string {
	var out strings.Builder
	w := newWorld()
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		if strings.HasPrefix(line, "| ") {
			continue
		}
		fmt.Fprintln(&out, line)
		if line == "" || strings.HasPrefix(line, "#") || strings.HasPrefix(line, " ") {
			if i == len(lines)-1 {
				break
			}
			continue
		}
		var block []string
		for i+1 < len(lines) && strings.HasPrefix(lines[i+1], "  ") {
			i++
			block = append(block, lines[i])
			fmt.Fprintln(&out, lines[i])
		}
		w.step(t, line, block)
		for _, l := range w.log {
			fmt.Fprintln(&out, "| "+l)
		}
		w.log = nil
	}
	if len(w.broken) > 0 {
		t.Errorf("broken: %q", w.broken)
	}
	return strings.TrimSuffix(out.String(), "\n")
}

func duration(t *testing.T, s string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// step carries out one line of a script.
func (w *world) step(t *testing.T, line string, block []string) {
	t.Helper()
	f := strings.Fields(line)
	verb, args := f[0], f[1:]
	switch verb {
	case "host":
		w.addHost(lattice.HostID(args[0]), pairs(args[1:]))
	case "kill", "stop":
		w.kill(lattice.HostID(args[0]), verb == "stop")
	case "relabel":
		h := w.hosts[lattice.HostID(args[0])]
		h.labels = pairs(args[1:])
		w.emit(h, lattice.LabelsChanged, map[string]any{"host_id": h.id, "labels": h.labels})
	case "mute":
		w.hosts[lattice.HostID(args[0])].busy = w.now.Add(duration(t, args[1]))
	case "image":
		opts := pairs(args[1:])
		im := image{fail: strings.ReplaceAll(opts["fail"], "_", " "), mutes: opts["mutes"] == "true"}
		if opts["fetch"] != "" {
			im.fetch = duration(t, opts["fetch"])
		}
		w.images[args[0]] = im
	case "deploy":
		w.apps[args[0]] = parseApp(t, args[0], block)
		w.desired()
	case "undeploy":
		delete(w.apps, args[0])
		w.desired()
	case "unreadable":
		w.apps[args[0]] = nil
		w.desired()
	case "run":
		w.run(duration(t, args[0]))
	case "remove":
		id, at, _ := strings.Cut(args[0], "@")
		h := w.hosts[lattice.HostID(at)]
		key := lattice.ComponentOf(lattice.WorkloadID(id))
		if h.workloads[key] == nil {
			key.Provider = true
		}
		if h.workloads[key] == nil {
			t.Fatalf("%q: nothing to remove", line)
		}
		w.removeByHand(h, key)
	case "foreign":
		id, at, _ := strings.Cut(args[0], "@")
		h := w.hosts[lattice.HostID(at)]
		opts := pairs(args[1:])
		w.startForeign(h, lattice.Workload{ID: lattice.WorkloadID(id), Provider: opts["provider"] == "true"}, opts["image"])
	case "health":
		id, at, _ := strings.Cut(args[0], "@")
		kind := lattice.HealthCheckPassed
		if args[1] == "failed" {
			kind = lattice.HealthCheckFailed
		}
		w.emit(w.hosts[lattice.HostID(at)], kind, map[string]any{"provider_id": id, "host_id": at})
	case "config":
		if len(args) == 1 {
			delete(w.configs, args[0])
			w.emit(w.anyone(), lattice.ConfigDeleted, map[string]any{"config_name": args[0]})
		} else {
			w.configs[args[0]] = pairs(args[1:])
			w.emit(w.anyone(), lattice.ConfigSet, map[string]any{"config_name": args[0]})
		}
	case "drift":
		for i := range w.links {
			if string(w.links[i].Source) == args[0] {
				w.links[i].Interfaces = []string{"drifted"}
				w.emit(w.anyone(), lattice.LinkSet, w.links[i])
			}
		}
	case "unlink":
		w.links = slices.DeleteFunc(w.links, func(l lattice.Link) bool {
			if string(l.Source) == args[0] {
				w.emit(w.anyone(), lattice.LinkDeleted, l)
				return true
			}
			return false
		})
	case "clock":
		id := lattice.HostID(args[0])
		if w.hosts[id] == nil {
			w.hosts[id] = newHost(id)
		}
		w.hosts[id].skew = duration(t, args[1])
	case "spoil":
		// Every start on the host fails from now on.
		w.hosts[lattice.HostID(args[0])].fails = strings.ReplaceAll(args[1], "_", " ")
	case "cut", "heal":
		w.hosts[lattice.HostID(args[0])].cut = verb == "cut"
	case "unlucky":
		// What any host can do goes to the named one; "unlucky" alone ends it.
		w.unlucky = nil
		if len(args) > 0 {
			h := w.hosts[lattice.HostID(args[0])]
			w.unlucky = func(*host) *host { return h }
		}
	case "lag":
		w.lag = duration(t, args[0])
	case "lose":
		w.lose(t, args)
	case "double":
		w.meddle = func(lattice.EventKind, []byte) []time.Duration {
			return []time.Duration{0, time.Millisecond, time.Second}
		}
	case "hand":
		// An operator's command, past us.
		id, at, _ := strings.Cut(args[1], "@")
		h := w.hosts[lattice.HostID(at)]
		c := lattice.Command{Kind: lattice.ScaleComponent, Host: h.id, Workload: lattice.WorkloadID(id), Image: args[2]}
		if args[0] == "update" {
			c.Kind = lattice.UpdateComponent
		} else {
			n, err := strconv.ParseUint(args[3], 10, 32)
			if err != nil {
				t.Fatal(err)
			}
			c.Count = uint32(n)
		}
		// What an operator does to their own work breaks none of our guarantees.
		broken := w.broken
		h.execute(w, c, func(lattice.Reply) {})
		w.broken = broken
	case "restart":
		w.boot()
	case "down":
		w.die()
	case "explain":
		b, err := json.MarshalIndent(w.core.Explain(args[0], w.now), "", " ")
		if err != nil {
			t.Fatal(err)
		}
		w.log = append(w.log, strings.Split(string(b), "\n")...)
	case "gap":
		w.apply(w.core.Gap(w.now))
	case "show":
		w.show()
	default:
		t.Fatalf("unknown step %q", line)
	}
}

// lose swallows what comes next: "lose event KIND N" or "lose command KIND N".
func (w *world) lose(t *testing.T, args []string) {
	t.Helper()
	n, err := strconv.Atoi(args[2])
	if err != nil {
		t.Fatal(err)
	}
	next := func(kind string) bool {
		if kind != args[1] || n == 0 {
			return false
		}
		n--
		return true
	}
	if args[0] == "command" {
		w.deaf = func(c lattice.Command) bool { return next(string(c.Kind)) }
		return
	}
	w.mislaid = func(kind lattice.EventKind) bool { return next(string(kind)) }
}

// show logs what runs.
func (w *world) show() {
	for _, id := range slices.Sorted(maps.Keys(w.hosts)) {
		h := w.hosts[id]
		if !h.alive {
			continue
		}
		var all []string
		for _, x := range slices.SortedFunc(maps.Keys(h.workloads), lattice.Workload.Compare) {
			i := h.workloads[x]
			all = append(all, fmt.Sprintf("%s=%d/%s/%s", x.ID, i.max, i.image, i.annotations[lattice.AnnotationSpread]))
			if i.code != "" && i.code != i.image {
				all = append(all, "really "+i.code)
			}
		}
		w.log = append(w.log, fmt.Sprintf("on %s: %s", id, strings.Join(all, " ")))
	}
	for _, l := range w.links {
		w.log = append(w.log, fmt.Sprintf("link %s->%s %s:%s/%s", l.Source, l.Target, l.Namespace, l.Package, strings.Join(l.Interfaces, ",")))
	}
	for _, n := range slices.Sorted(maps.Keys(w.configs)) {
		w.log = append(w.log, fmt.Sprintf("config %s %v", n, w.configs[n]))
	}
}

func pairs(args []string) map[string]string {
	m := map[string]string{}
	for _, a := range args {
		k, v, _ := strings.Cut(a, "=")
		m[k] = v
	}
	return m
}

// parseApp reads the short form of a manifest that stories use:
//
//	component NAME image=REF [id=ID] [instances=N|daemon=N] [spread=NAME:key=value,weight=W]... [config=NAME:key=value]... [needs=CONFIG]...
//	provider  … the same
//	trait COMPONENT TYPE
//	link SOURCE TARGET ns:pkg/iface [config=NAME:key=value]
func parseApp(t *testing.T, name string, block []string) *manifest.Manifest {
	t.Helper()
	m := &manifest.Manifest{APIVersion: "core.oam.dev/v1beta1", Kind: "Application"}
	m.Metadata.Name = name
	at := map[string]int{}
	for _, line := range block {
		f := strings.Fields(line)
		switch f[0] {
		case "shared":
			m.Metadata.Annotations = map[string]string{manifest.AnnotationShared: "true"}
			continue
		case "policy":
			m.Spec.Policies = append(m.Spec.Policies, manifest.Policy{Name: f[1], Type: "policy.secret.wasmcloud.dev/v1alpha1", Properties: pairs(f[2:])})
			continue
		}
		if f[0] == "trait" {
			c := &m.Spec.Components[at[f[1]]]
			c.Traits = append(c.Traits, manifest.Trait{Type: f[2], Custom: json.RawMessage(`{}`)})
			continue
		}
		if f[0] == "link" {
			ns, rest, _ := strings.Cut(f[3], ":")
			pkg, iface, _ := strings.Cut(rest, "/")
			l := &manifest.Link{Namespace: ns, Package: pkg, Interfaces: strings.Split(iface, ","), Target: manifest.LinkTarget{Name: f[2]}}
			opts, configs, _ := workloadOptions(t, f[4:])
			if len(configs) > 0 {
				l.Source = &manifest.LinkEnd{Config: configs}
			}
			if name, named := opts["name"]; named {
				l.Name = &name
			}
			c := &m.Spec.Components[at[f[1]]]
			c.Traits = append(c.Traits, manifest.Trait{Type: manifest.TraitLink, Link: l})
			continue
		}
		c := manifest.Component{Name: f[1], Type: manifest.TypeComponent}
		if f[0] == "provider" {
			c.Type = manifest.TypeCapability
		}
		opts, configs, trait := workloadOptions(t, f[2:])
		if img := opts["image"]; img != "" {
			c.Properties.Image = &img
		}
		if of, component, shared := strings.Cut(opts["application"], "/"); shared {
			c.Properties.Application = &manifest.SharedRef{Name: of, Component: component}
		}
		c.Properties.Config = configs
		if name, ref, has := strings.Cut(opts["secret"], ":"); has {
			policy, key, _ := strings.Cut(ref, "/")
			c.Properties.Secrets = []manifest.Secret{{Name: name, Policy: policy, Key: key}}
		}
		if id := opts["id"]; id != "" {
			c.Properties.ID = &id
		}
		if trait != nil {
			c.Traits = append(c.Traits, *trait)
		}
		at[c.Name] = len(m.Spec.Components)
		m.Spec.Components = append(m.Spec.Components, c)
	}
	return m
}

func workloadOptions(t *testing.T, args []string) (opts map[string]string, configs []manifest.Config, trait *manifest.Trait) {
	t.Helper()
	opts = map[string]string{}
	sc := &manifest.SpreadScaler{}
	kind := ""
	for _, a := range args {
		k, v, _ := strings.Cut(a, "=")
		n, detail, has := strings.Cut(v, ":")
		switch k {
		case "instances", "daemon":
			kind = manifest.TraitSpreadScaler
			if k == "daemon" {
				kind = manifest.TraitDaemonScaler
			}
			count, err := strconv.ParseUint(v, 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			sc.Instances = count
		case "spread":
			sp := manifest.Spread{Name: n, Requirements: map[string]string{}}
			for kv := range strings.SplitSeq(detail, ",") {
				k, v, _ := strings.Cut(kv, "=")
				if k == "weight" {
					w, err := strconv.ParseUint(v, 10, 64)
					if err != nil {
						t.Fatal(err)
					}
					sp.Weight = &w
				} else if k != "" {
					sp.Requirements[k] = v
				}
			}
			sc.Spread = append(sc.Spread, sp)
		case "config":
			c := manifest.Config{Name: n}
			if has {
				c.Properties = pairs(strings.Split(detail, ","))
			}
			configs = append(configs, c)
		default:
			opts[k] = v
		}
	}
	if kind != "" {
		trait = &manifest.Trait{Type: kind, Spread: sc}
	}
	return opts, configs, trait
}
