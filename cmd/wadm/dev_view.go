package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"wadm/config/terminal"
	"wadm/scheduler/lattice"
	"wadm/tenancy"
)

// happening is one thing worth a line.
type happening struct {
	at      time.Duration // since the start
	lattice tenancy.Lattice
	kind    string
	text    string
}

func (h happening) String() string {
	return strings.TrimRight(fmt.Sprintf("%7.2fs  %-8s %-9s %s", h.at.Seconds(), h.kind, h.lattice, h.text), " ")
}

// devState is what the table shows, sorted.
type devState struct {
	apps  []devAppRow
	hosts []devHost
	// owned counts lattices by the instance that owns them.
	owned map[string]int
}

type devAppRow struct {
	key     devAppKey
	version string
	status  tenancy.StatusInfo
	since   time.Time
}

// devView shows what happens: as a table refreshed in place on a terminal, else
// as one line per happening.
type devView struct {
	opts  devOptions
	url   string
	begun time.Time
	out   io.Writer
	// tty is the terminal of the table; nil for lines.
	tty *os.File
	// state is asked for what the table shows.
	state func() devState

	mu     sync.Mutex
	recent []happening
	// processes are those of the session's servers, if there are several; 0: it has
	// ended. One that was started again by somebody else is not among them.
	processes map[string]int
}

// recentHappenings is how many happenings a table remembers; it shows as many
// of the last as there is room for.
const recentHappenings = 200

// newDevView decides between table and lines. It shows nothing yet.
func newDevView(o devOptions, url string, out io.Writer) *devView {
	v := &devView{opts: o, url: url, begun: time.Now(), out: out}
	if f, ok := out.(*os.File); ok && !o.lines && !o.quiet && !o.exitWhenConverged && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb" {
		v.tty = f
	}
	return v
}

// open prints where to connect, unless a table will show it.
func (v *devView) open() error {
	if v.tty != nil {
		return nil
	}
	text := v.url + "\n"
	if !v.opts.quiet {
		text = strings.Join(v.welcome(), "\n") + "\n\n"
	}
	if _, err := io.WriteString(v.out, text); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

// terminal is the view when it shows a table, and nil when it prints lines.
func (v *devView) terminal() *devView {
	if v.tty == nil {
		return nil
	}
	return v
}

// welcome explains what is shown and what to try.
func (v *devView) welcome() []string {
	host, port := endpoint(v.url)
	server := fmt.Sprintf("%s:%d", host, port)
	// Simulated hosts do not share links and configurations with real ones.
	lattice := " --lattice mine"
	if v.opts.hosts == 0 {
		lattice = ""
	}
	return []string{
		fmt.Sprintf("wadm dev: NATS at %s, %d lattice(s) with %d simulated host(s) each. ^C stops everything.", v.url, v.opts.lattices, v.opts.hosts),
		"Try in another terminal:",
		"  wadmctl -s " + server + " app list",
		fmt.Sprintf("  wash app list --ctl-host %s --ctl-port %d", host, port),
		fmt.Sprintf("  wasmcloud --nats-host %s --nats-port %d%s     (a real host joins)", host, port, lattice),
	}
}

// happen notes a happening, and prints it unless a table will.
func (v *devView) happen(h happening) {
	v.mu.Lock()
	defer v.mu.Unlock()
	h.at = time.Since(v.begun)
	h.text = terminal.Safe(h.text)
	switch {
	case v.tty != nil:
		v.recent = append(v.recent, h)
		if len(v.recent) > recentHappenings {
			v.recent = v.recent[len(v.recent)-recentHappenings:]
		}
	case !v.opts.quiet:
		fmt.Fprintln(v.out, h)
	}
}

// instance notes what became of a server of the session: its process, 0 when it
// has ended.
func (v *devView) instance(name string, pid int, text string) {
	v.mu.Lock()
	if v.processes == nil {
		v.processes = map[string]int{}
	}
	v.processes[name] = pid
	v.mu.Unlock()
	v.happen(happening{kind: "instance", text: name + " " + text})
}

// claimed notes that an instance has got a lattice. One whose process has ended does
// not: another one runs under its name.
func (v *devView) claimed(name string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if pid, ours := v.processes[name]; ours && pid == 0 {
		delete(v.processes, name)
	}
}

// Escapes of the table: an alternate screen, so that the shell's text comes back.
const (
	enterScreen = "\x1b[?1049h\x1b[?25l"
	leaveScreen = "\x1b[?25h\x1b[?1049l"
	toTop       = "\x1b[H"
	toLineEnd   = "\x1b[K"
	toScreenEnd = "\x1b[J"
)

// run refreshes the table until ctx ends.
func (v *devView) run(ctx context.Context) error {
	if v.tty == nil {
		<-ctx.Done()
		return nil
	}
	fmt.Fprint(v.tty, enterScreen)
	defer func() {
		fmt.Fprint(v.tty, leaveScreen)
		fmt.Fprintln(v.tty, "wadm dev has stopped.")
	}()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		width, height, err := term.GetSize(int(v.tty.Fd()))
		if err != nil || width <= 0 || height <= 0 {
			width, height = 80, 24
		}
		// Lines end as on a raw terminal, which does not go back by itself.
		text := strings.Join(v.table(width, height, time.Now()), toLineEnd+"\r\n")
		if _, err := fmt.Fprint(v.tty, toTop+text+toLineEnd+toScreenEnd); err != nil {
			return fmt.Errorf("write table: %w", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// table draws everything within width and height.
func (v *devView) table(width, height int, now time.Time) []string {
	s := v.state()
	v.mu.Lock()
	recent, processes := v.recent, maps.Clone(v.processes)
	v.mu.Unlock()

	lines := append(v.welcome(), "")
	if len(processes) > 0 {
		lines = append(lines, clipRows(instanceTable(processes, s.owned), max(height/5, 4))...)
		lines = append(lines, "")
	}
	// What happens gets a third of the screen, what is the rest.
	room := max(height-len(lines)-4, 4)
	hosts, apps := hostTable(s.hosts, now), appTable(s.apps, now)
	forRecent := max(room/3, 2)
	forApps := min(len(apps), max((room-forRecent)/2, 3))
	forHosts := min(len(hosts), max(room-forRecent-forApps, 3))
	forRecent = max(room-forApps-forHosts, 2)
	lines = append(lines, clipRows(apps, forApps)...)
	lines = append(lines, "")
	lines = append(lines, clipRows(hosts, forHosts)...)
	lines = append(lines, "")
	for _, h := range recent[max(0, len(recent)-forRecent):] {
		lines = append(lines, h.String())
	}
	lines = append(lines, "")
	lines = append(lines[:min(len(lines), height-1)], "keys: k kill a host   s start a host   q quit")
	for i, line := range lines {
		lines[i] = clipLine(line, width)
	}
	return lines
}

// instanceTable has the session's servers, and whoever else owns lattices.
func instanceTable(processes, owned map[string]int) []string {
	all := maps.Clone(processes)
	for name := range owned {
		if _, ours := all[name]; !ours {
			all[name] = 0
		}
	}
	rows := [][]string{{"INSTANCE", "PROCESS", "OWNS"}}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		process := fmt.Sprint(all[name])
		if all[name] == 0 {
			process = "-"
			if _, ours := processes[name]; ours {
				process = "ended"
			}
		}
		rows = append(rows, []string{name, process, fmt.Sprintf("%d lattices", owned[name])})
	}
	return align(rows)
}

func appTable(apps []devAppRow, now time.Time) []string {
	rows := [][]string{{"APPLICATION", "LATTICE", "VERSION", "STATUS", "SINCE", "MESSAGE"}}
	for _, a := range apps {
		rows = append(rows, []string{a.key.name, string(a.key.lattice), terminal.OrDash(a.version), string(a.status.Type), age(now.Sub(a.since)), terminal.Safe(a.status.Message)})
	}
	return align(rows)
}

// devIDWidth is how much of a host's id a table has room for: enough to find it
// where it is shown in full.
const devIDWidth = 9

func hostTable(hosts []devHost, now time.Time) []string {
	rows := [][]string{{"HOST", "ID", "LATTICE", "LABELS", "STATE", "RUNS"}}
	for _, h := range hosts {
		state, runs := string(h.state), devRuns(h.runs)
		if h.state != hostOK {
			state += " " + age(now.Sub(h.last))
		}
		if h.state.gone() {
			runs = ""
		}
		rows = append(rows, []string{h.name, clipLine(string(h.id), devIDWidth), string(h.lattice), devLabels(h.labels), state, terminal.OrDash(runs)})
	}
	return align(rows)
}

// devRuns lists what a host runs: component×instances, then providers.
func devRuns(runs map[lattice.WorkloadID]uint32) string {
	var components, providers []string
	for _, id := range slices.Sorted(maps.Keys(runs)) {
		if n := runs[id]; n > 0 {
			components = append(components, fmt.Sprintf("%s×%d", id, n))
		} else {
			providers = append(providers, string(id))
		}
	}
	return strings.Join(append(components, providers...), "  ")
}

// align pads cells to columns.
func align(rows [][]string) []string {
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], len([]rune(cell)))
		}
	}
	out := make([]string, len(rows))
	for i, row := range rows {
		var b strings.Builder
		for j, cell := range row {
			b.WriteString(cell)
			if j < len(row)-1 {
				b.WriteString(strings.Repeat(" ", widths[j]-len([]rune(cell))+2))
			}
		}
		out[i] = strings.TrimRight(b.String(), " ")
	}
	return out
}

// clipRows keeps a table to so many rows and says how many are missing.
func clipRows(rows []string, most int) []string {
	if len(rows) <= most {
		return rows
	}
	return append(rows[:most-1:most-1], fmt.Sprintf("… and %d more", len(rows)-most+1))
}

func clipLine(s string, width int) string {
	r := []rune(s)
	if len(r) <= width {
		return s
	}
	return string(r[:max(width-1, 0)]) + "…"
}

// age is a short duration: 3s, 4m, 2h.
func age(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	default:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
}

// warnings is a log handler that shows what the operator should know.
type warnings struct{ view *devView }

// Enabled lets warnings and errors through.
func (warnings) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }

// Handle shows a record as a happening.
func (w warnings) Handle(_ context.Context, r slog.Record) error {
	h := happening{kind: "server", text: r.Message}
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "lattice" {
			h.lattice = tenancy.Lattice(a.Value.String())
		} else {
			h.text += fmt.Sprintf(" %s=%v", a.Key, a.Value)
		}
		return true
	})
	w.view.happen(h)
	return nil
}

// WithAttrs drops what every record would repeat.
func (w warnings) WithAttrs([]slog.Attr) slog.Handler { return w }

// WithGroup ignores groups.
func (w warnings) WithGroup(string) slog.Handler { return w }
