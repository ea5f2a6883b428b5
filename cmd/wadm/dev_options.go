package main

import (
	"embed"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"wadm/config"
	"wadm/tenancy"
	"wadm/tenancy/manifest"
)

//go:embed devapps/*.yaml
var devExamples embed.FS

// Most that --lattices and --hosts take: enough to see many, too little to
// bring down the machine by a slip of the finger.
const (
	mostDevLattices = 1000
	mostDevHosts    = 1000
	// mostDevInstances share one machine, and its memory.
	mostDevInstances = 16
)

// errDevHelp says that help was asked for and has been given.
var errDevHelp = errors.New("help")

// devOptions is what `wadm dev` is told.
type devOptions struct {
	host              string
	port              int
	data              string
	lattices, hosts   int
	instances         int
	heartbeat         time.Duration
	manifests         []string
	exitWhenConverged bool
	timeout           time.Duration
	quiet, lines      bool
	log, httpAdmin    string
}

// What the help says before and after the flags, and the reference page with them.
const (
	devIntro = `Runs NATS, a wadm server and simulated hosts, deploys an example application, and
shows what happens until ^C.
`
	devNotes = `On a terminal, keys: k kills a host, s starts one, q quits. Clients and hosts can
connect to the printed address. Real hosts want a lattice of their own, or
--hosts 0, because simulated hosts keep links and configurations to themselves.
Simulated hosts obey the control interface: 'wash stop host' works.
`
)

// flags are the flags of `wadm dev`, which set o.
func (o *devOptions) flags() *pflag.FlagSet {
	f := pflag.NewFlagSet("wadm dev", pflag.ContinueOnError)
	f.SortFlags = false
	f.Usage = func() {}
	f.IntVarP(&o.port, "port", "p", 0, "port of NATS; 0 takes a free one and prints it")
	f.StringVar(&o.host, "host", "127.0.0.1", "address NATS listens on")
	f.StringVar(&o.data, "data", "", "folder to keep everything in; without it nothing is left behind")
	f.IntVar(&o.lattices, "lattices", 2, "number of lattices")
	f.IntVar(&o.hosts, "hosts", 3, "simulated hosts per lattice, labelled zone=a, b, c in turn")
	f.IntVar(&o.instances, "instances", 1, "servers that share the lattices; several are named wadm-1, wadm-2, … and are a process each, to be drained or killed")
	o.heartbeat = time.Second
	f.Var((*durationFlag)(&o.heartbeat), "heartbeat", "time between heartbeats of a simulated host, in seconds or with a unit")
	f.StringArrayVarP(&o.manifests, "manifest", "f", nil, "deploy this file in every lattice, instead of the examples; may be repeated")
	f.BoolVar(&o.exitWhenConverged, "exit-when-converged", false, "end when the applications are deployed (0) or one failed and nothing is tried any more (7)")
	f.Var((*durationFlag)(&o.timeout), "timeout", "end with 8 after this time, in seconds or with a unit; 0 means never")
	f.BoolVar(&o.lines, "lines", false, "print lines, also on a terminal")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "print the address only")
	f.StringVar(&o.log, "log", "", "file to append the server's log to")
	f.StringVar(&o.httpAdmin, "http-admin", "", "address of the server's HTTP pages, such as 127.0.0.1:8080; of several servers, of wadm-1 only")
	return f
}

func parseDev(args []string, stdout io.Writer) (devOptions, error) {
	var o devOptions
	f := o.flags()
	err := f.Parse(args)
	switch {
	case errors.Is(err, pflag.ErrHelp):
		fmt.Fprintf(stdout, `%s
Usage:
  wadm dev [OPTIONS]

Options:
%s
%s
Exit codes: 0 stopped or converged, 1 failed, 2 wrong usage, 6 a manifest cannot
be read, 7 an application failed (--exit-when-converged), 8 --timeout passed.
`, devIntro, f.FlagUsages(), devNotes)
		return o, errDevHelp
	case err != nil:
		return o, err
	case f.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q", f.Arg(0))
	case o.lattices < 1 || o.lattices > mostDevLattices:
		return o, fmt.Errorf("--lattices %d is not within 1 to %d", o.lattices, mostDevLattices)
	case o.hosts < 0 || o.hosts > mostDevHosts:
		return o, fmt.Errorf("--hosts %d is not within 0 to %d", o.hosts, mostDevHosts)
	case o.instances < 1 || o.instances > mostDevInstances:
		return o, fmt.Errorf("--instances %d is not within 1 to %d", o.instances, mostDevInstances)
	case o.port < 0 || o.port > 65535:
		return o, fmt.Errorf("--port %d is no port", o.port)
	case o.heartbeat < 100*time.Millisecond:
		return o, fmt.Errorf("--heartbeat %v is below 100ms", o.heartbeat)
	}
	if err := config.CheckAddress(o.httpAdmin); o.httpAdmin != "" && err != nil {
		return o, fmt.Errorf("--http-admin %q %w", o.httpAdmin, err)
	}
	return o, nil
}

// durationFlag is a duration as the configuration of a server has it.
type durationFlag time.Duration

// Set reads seconds or a number with a unit.
func (f *durationFlag) Set(s string) error {
	d, err := config.ParseDuration(s)
	*f = durationFlag(d)
	return err
}

// String is the default in the help text.
func (f *durationFlag) String() string {
	if *f == 0 {
		return "0"
	}
	return time.Duration(*f).String()
}

// Type names the value in the help text.
func (f *durationFlag) Type() string { return "duration" }

// latticeName is "default" for the first, so that clients find it without a flag.
func (o devOptions) latticeName(i int) tenancy.Lattice {
	if i == 0 {
		return "default"
	}
	return tenancy.Lattice(fmt.Sprintf("dev-%d", i+1))
}

// devApp is an application to deploy.
type devApp struct {
	lattice tenancy.Lattice
	name    string
	// version is nil when the manifest leaves it to the server.
	version *string
	data    []byte
}

// devApps reads what is to be deployed where: the given manifests everywhere,
// else the shop in the first lattice and the greeter in the others, or in the
// same one when there is no other.
func devApps(o devOptions) ([]devApp, error) {
	if len(o.manifests) == 0 {
		shop, err := readDevApp(devExamples.ReadFile, "devapps/shop.yaml")
		if err != nil {
			return nil, err
		}
		greeter, err := readDevApp(devExamples.ReadFile, "devapps/greeter.yaml")
		if err != nil {
			return nil, err
		}
		apps := []devApp{shop.in(o.latticeName(0))}
		for i := min(1, o.lattices-1); i < o.lattices; i++ {
			apps = append(apps, greeter.in(o.latticeName(i)))
		}
		return apps, nil
	}
	var apps []devApp
	files := map[string]string{}
	for _, file := range o.manifests {
		app, err := readDevApp(os.ReadFile, file)
		if err != nil {
			return nil, err
		}
		if other, twice := files[app.name]; twice {
			return nil, fmt.Errorf("%s and %s both describe application %q", other, file, app.name)
		}
		files[app.name] = file
		for i := range o.lattices {
			apps = append(apps, app.in(o.latticeName(i)))
		}
	}
	return apps, nil
}

func (a devApp) in(l tenancy.Lattice) devApp {
	a.lattice = l
	return a
}

// readDevApp reads and checks a manifest, so that a mistake in it is told before anything starts.
func readDevApp(read func(string) ([]byte, error), file string) (devApp, error) {
	data, err := read(file)
	if err != nil {
		return devApp{}, fmt.Errorf("read manifest: %w", err)
	}
	m, err := manifest.Parse(data, "", false, manifest.Budget{})
	if err != nil {
		return devApp{}, fmt.Errorf("read manifest %s: %w", file, err)
	}
	var wrong []string
	for _, f := range m.Validate() {
		if f.Level == manifest.Error {
			wrong = append(wrong, f.Message)
		}
	}
	if len(wrong) > 0 {
		return devApp{}, fmt.Errorf("manifest %s is not valid: %s", file, strings.Join(wrong, "; "))
	}
	app := devApp{name: m.Metadata.Name, data: data}
	if v, ok := m.Version(); ok {
		app.version = &v
	}
	return app, nil
}
