// Command pion-peer is one pion/ice v2 agent on real sockets, driven over
// standard input and output in the line protocol of `examples/peer.rs`, so that
// the harness can cross-wire it with any other peer that speaks the protocol.
//
// It knows nothing of the other side: every line it prints is meant to be piped
// there, every line it takes comes from there or from the harness.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/pion/ice/v2"
	"github.com/pion/logging"
)

const (
	// inputGrace is how long the agent outlives the end of its input, so that
	// what is in flight can still arrive.
	inputGrace = 500 * time.Millisecond
	// closeGrace bounds the wait for the last state event of a closing agent.
	closeGrace = 2 * time.Second
	// maxLine bounds one line of input.
	maxLine = 1 << 20
	// receiveBuffer holds the largest datagram that pion itself can receive.
	receiveBuffer = 8192
)

func main() {
	options := parseFlags()
	config, err := options.agentConfig()
	if err != nil {
		refuse(err)
	}
	agent, err := ice.NewAgent(config)
	if err != nil {
		refuse(err)
	}
	p := &peer{
		agent:     agent,
		options:   options,
		connected: make(chan struct{}),
		closed:    make(chan struct{}),
	}
	p.run(os.Stdin)
}

// refuse ends the process with the exit code for a command line that cannot work.
func refuse(reason error) {
	fmt.Fprintln(os.Stderr, "pion-peer:", reason)
	os.Exit(2)
}

// options is the command line.
type options struct {
	role          string
	stun          repeated
	turn          repeated
	turnTransport string
	insecure      bool
	relayOnly     bool
	tcp           bool
	tcpActive     bool
	noUDP         bool
	lite          bool
	mdns          string
	bind          repeated
	echo          bool

	// active opens the connections of active candidates, if there are to be any.
	active *activeMux
	hold   bool
}

// repeated is a flag that may be given more than once.
type repeated []string

func (r *repeated) String() string { return strings.Join(*r, " ") }

func (r *repeated) Set(value string) error {
	*r = append(*r, value)
	return nil
}

// parseFlags exits with 2 on an unknown flag and with 0 on --help.
func parseFlags() options {
	var o options
	flag.StringVar(&o.role, "role", "", "controlling or controlled (required)")
	flag.Var(&o.stun, "stun", "HOST:PORT of a STUN server (repeatable)")
	flag.Var(&o.turn, "turn", "USER:PASS@HOST:PORT of a TURN server (repeatable)")
	flag.StringVar(&o.turnTransport, "turn-transport", "udp", "udp, tcp or tls")
	flag.BoolVar(&o.insecure, "insecure", false, "TURN over TLS without certificate checks")
	flag.BoolVar(&o.relayOnly, "relay-only", false, "gather relayed candidates only")
	flag.BoolVar(&o.tcp, "tcp", false, "also gather a passive TCP candidate")
	flag.BoolVar(&o.tcpActive, "tcp-active", false, "also gather an active TCP candidate, no passive one")
	flag.BoolVar(&o.noUDP, "no-udp", false, "gather no UDP candidates")
	flag.BoolVar(&o.lite, "lite", false, "be an ICE lite agent")
	flag.StringVar(&o.mdns, "mdns", "off", "off, query or gather")
	flag.Var(&o.bind, "bind", "IP to gather on (repeatable; loopback is allowed when named)")
	flag.BoolVar(&o.echo, "echo", false, "send every received datagram back")
	flag.BoolVar(&o.hold, "hold", false, "gather when the line \"gather\" comes, not at the start")
	flag.Parse()
	if flag.NArg() > 0 {
		refuse(fmt.Errorf("unexpected argument %q", flag.Arg(0)))
	}
	return o
}

func (o *options) controlling() bool { return o.role == "controlling" }

// agentConfig checks the options and translates them for pion.
func (o *options) agentConfig() (*ice.AgentConfig, error) {
	if o.role != "controlling" && o.role != "controlled" {
		return nil, errors.New("--role must be controlling or controlled")
	}
	// pion's default logger writes to standard output, which is the protocol's.
	loggers := logging.NewDefaultLoggerFactory()
	loggers.Writer = os.Stderr
	config := &ice.AgentConfig{
		Lite:               o.lite,
		InsecureSkipVerify: o.insecure,
		LoggerFactory:      loggers,
	}
	for _, step := range []func(*ice.AgentConfig) error{
		o.applyBind, o.applyServers, o.applyCandidateTypes, o.applyTransports, o.applyMDNS,
	} {
		if err := step(config); err != nil {
			return nil, err
		}
	}
	return config, nil
}

// applyBind restricts host candidates to the named addresses. The sockets of
// reflexive and relayed candidates stay on the wildcard address: pion takes no
// local address for them.
func (o *options) applyBind(config *ice.AgentConfig) error {
	if len(o.bind) == 0 {
		return nil
	}
	allowed := make([]net.IP, 0, len(o.bind))
	for _, text := range o.bind {
		ip := net.ParseIP(text)
		switch {
		case ip == nil:
			return fmt.Errorf("--bind %s: not an IP address", text)
		case ip.To4() == nil && ip.IsLoopback():
			return fmt.Errorf("--bind %s: pion never gathers on the IPv6 loopback", text)
		case !ofThisMachine(ip):
			return fmt.Errorf("--bind %s: no interface has this address", text)
		}
		allowed = append(allowed, ip)
	}
	config.IncludeLoopback = true
	config.IPFilter = func(ip net.IP) bool { return contains(allowed, ip) }
	return nil
}

func ofThisMachine(ip net.IP) bool {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	for _, address := range addresses {
		if network, ok := address.(*net.IPNet); ok && network.IP.Equal(ip) {
			return true
		}
	}
	return false
}

func contains(ips []net.IP, wanted net.IP) bool {
	for _, ip := range ips {
		if ip.Equal(wanted) {
			return true
		}
	}
	return false
}

func (o *options) applyServers(config *ice.AgentConfig) error {
	for _, server := range o.stun {
		host, port, err := hostAndPort(server)
		if err != nil {
			return fmt.Errorf("--stun %s: %w", server, err)
		}
		config.Urls = append(config.Urls, &ice.URL{
			Scheme: ice.SchemeTypeSTUN, Host: host, Port: port, Proto: ice.ProtoTypeUDP,
		})
	}
	scheme, proto := ice.SchemeTypeTURN, ice.ProtoTypeUDP
	switch o.turnTransport {
	case "udp":
	case "tcp":
		proto = ice.ProtoTypeTCP
	case "tls":
		scheme, proto = ice.SchemeTypeTURNS, ice.ProtoTypeTCP
	default:
		return errors.New("--turn-transport must be udp, tcp or tls")
	}
	for _, server := range o.turn {
		at := strings.LastIndex(server, "@")
		if at < 0 {
			return errors.New("--turn must be USER:PASS@HOST:PORT")
		}
		user, password, ok := strings.Cut(server[:at], ":")
		if !ok {
			return errors.New("--turn must be USER:PASS@HOST:PORT")
		}
		host, port, err := hostAndPort(server[at+1:])
		if err != nil {
			return fmt.Errorf("--turn %s: %w", server[at+1:], err)
		}
		config.Urls = append(config.Urls, &ice.URL{
			Scheme: scheme, Host: host, Port: port, Proto: proto,
			Username: user, Password: password,
		})
	}
	return nil
}

func hostAndPort(text string) (string, int, error) {
	host, portText, err := net.SplitHostPort(text)
	if err != nil {
		return "", 0, err
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return "", 0, err
	}
	return host, int(port), nil
}

func (o *options) applyCandidateTypes(config *ice.AgentConfig) error {
	if o.relayOnly {
		if len(o.turn) == 0 {
			return errors.New("--relay-only needs --turn")
		}
		config.CandidateTypes = []ice.CandidateType{ice.CandidateTypeRelay}
	}
	if o.lite {
		if o.relayOnly || len(config.Urls) > 0 {
			return errors.New("--lite gathers host candidates only: no --stun, --turn or --relay-only")
		}
		config.CandidateTypes = []ice.CandidateType{ice.CandidateTypeHost}
	}
	return nil
}

// applyTransports opens the listener of the passive TCP candidate. Active ones
// are unknown to pion v2.3.1: they are passive ones whose mux opens connections.
func (o *options) applyTransports(config *ice.AgentConfig) error {
	if !o.noUDP {
		config.NetworkTypes = append(config.NetworkTypes, ice.NetworkTypeUDP4, ice.NetworkTypeUDP6)
	}
	if o.tcp && o.tcpActive {
		return errors.New("--tcp goes without --tcp-active")
	}
	if !o.tcp && !o.tcpActive {
		if o.noUDP {
			return errors.New("--no-udp needs --tcp or --tcp-active")
		}
		return nil
	}
	config.NetworkTypes = append(config.NetworkTypes, ice.NetworkTypeTCP4, ice.NetworkTypeTCP6)
	if o.tcpActive {
		o.active = &activeMux{}
		config.TCPMux = o.active
		return nil
	}
	address := ":0"
	if len(o.bind) == 1 {
		address = net.JoinHostPort(o.bind[0], "0")
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("--tcp: %w", err)
	}
	config.TCPMux = ice.NewTCPMuxDefault(ice.TCPMuxParams{
		Listener:       listener,
		Logger:         config.LoggerFactory.NewLogger("ice-tcp"),
		ReadBufferSize: 64,
	})
	return nil
}

func (o *options) applyMDNS(config *ice.AgentConfig) error {
	switch o.mdns {
	case "off":
		config.MulticastDNSMode = ice.MulticastDNSModeDisabled
	case "query":
		config.MulticastDNSMode = ice.MulticastDNSModeQueryOnly
	case "gather":
		config.MulticastDNSMode = ice.MulticastDNSModeQueryAndGather
	default:
		return errors.New("--mdns must be off, query or gather")
	}
	return nil
}

// peer wires one agent to the lines. Its commands run on one goroutine; pion's
// handlers and the reader run on others and only print.
type peer struct {
	agent   *ice.Agent
	options options

	// conn is written once, before connected is closed.
	conn      *ice.Conn
	connected chan struct{}
	closed    chan struct{}

	// gathered is closed at the end of the gathering under way.
	gathered chan struct{}

	// The rest belongs to the goroutine of the commands.
	remote     string
	restarting bool
}

func (p *peer) run(input *os.File) {
	p.watch()
	say("role " + p.options.role)
	if err := p.greet(); err != nil {
		complain(err)
	}
	lines := bufio.NewScanner(input)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		command, argument, _ := strings.Cut(strings.TrimRight(lines.Text(), "\r"), " ")
		if command == "close" {
			p.close()
			return
		}
		if err := p.obey(command, argument); err != nil {
			complain(err)
		}
	}
	if err := lines.Err(); err != nil {
		complain(err)
	}
	time.Sleep(inputGrace)
	p.close()
}

// watch prints what the agent reports. pion runs each state handler on its own
// goroutine, so two states in quick succession may be printed in either order.
func (p *peer) watch() {
	must(p.agent.OnConnectionStateChange(func(state ice.ConnectionState) {
		say("state " + strings.ToLower(state.String()))
		if state == ice.ConnectionStateClosed {
			close(p.closed)
		}
	}))
	must(p.agent.OnSelectedCandidatePairChange(p.printSelected))
	must(p.agent.OnCandidate(func(candidate ice.Candidate) {
		if candidate == nil {
			say("end-of-candidates")
			close(p.gathered)
			return
		}
		say("candidate " + p.options.line(candidate))
	}))
}

func (p *peer) printSelected(local, remote ice.Candidate) {
	transport := local.NetworkType().NetworkShort()
	if relay, ok := local.(*ice.CandidateRelay); ok {
		transport = "relay-" + relay.RelayProtocol()
	}
	localAddress, remoteAddress := endpoint(local), endpoint(remote)
	if hidden(local) || hidden(remote) {
		<-p.connected
		localAddress, remoteAddress = p.conn.LocalAddr().String(), p.conn.RemoteAddr().String()
	}
	if active := p.options.active; active != nil && local.NetworkType().IsTCP() {
		if address, ok := active.localAddress(endpoint(remote)); ok {
			localAddress = address
		}
	}
	say(fmt.Sprintf("selected %s %s %s %s %s",
		localAddress, remoteAddress, local.Type(), remote.Type(), transport))
}

func endpoint(candidate ice.Candidate) string {
	return net.JoinHostPort(candidate.Address(), strconv.Itoa(candidate.Port()))
}

// line is the candidate's attribute; pion takes those of an active mux for passive ones.
func (o *options) line(candidate ice.Candidate) string {
	if o.active == nil || !candidate.NetworkType().IsTCP() {
		return candidate.Marshal()
	}
	return strings.Replace(candidate.Marshal(), "tcptype passive", "tcptype active", 1)
}

// hidden tells a candidate that shows a name in place of its address.
func hidden(candidate ice.Candidate) bool {
	return strings.HasSuffix(candidate.Address(), ".local")
}

// greet prints the credentials, and starts gathering unless that is to wait.
func (p *peer) greet() error {
	if !p.options.hold {
		return p.gather()
	}
	// No gathering is under way.
	p.gathered = make(chan struct{})
	close(p.gathered)
	return p.sayCredentials()
}

// gather prints the credentials of this generation and starts its gathering.
func (p *peer) gather() error {
	if err := p.sayCredentials(); err != nil {
		return err
	}
	return p.startGathering()
}

func (p *peer) sayCredentials() error {
	ufrag, pwd, err := p.agent.GetLocalUserCredentials()
	if err != nil {
		return err
	}
	if p.options.lite {
		say("parameters lite")
	}
	say("credentials " + ufrag + " " + pwd)
	return nil
}

func (p *peer) startGathering() error {
	p.gathered = make(chan struct{})
	return p.agent.GatherCandidates()
}

func (p *peer) obey(command, argument string) error {
	switch command {
	case "parameters", "":
		// pion has no notion of the other side's pacing, options or liteness.
		return nil
	case "credentials":
		return p.takeCredentials(argument)
	case "candidate":
		return p.takeCandidate(argument)
	case "end-of-candidates":
		// pion has no notion of it and waits for its own timeout.
		return nil
	case "send":
		return p.send(argument)
	case "restart":
		return p.restart()
	case "gather":
		return p.startGathering()
	default:
		return fmt.Errorf("unknown command %q", command)
	}
}

// takeCredentials starts the agent, or completes a restart, whichever side began it.
func (p *peer) takeCredentials(argument string) error {
	fields := strings.Fields(argument)
	if len(fields) != 2 {
		return errors.New("credentials: expected a ufrag and a password")
	}
	ufrag, pwd := fields[0], fields[1]
	current := ufrag + " " + pwd
	switch p.remote {
	case current:
		return nil
	case "":
		p.remote = current
		go p.connect(ufrag, pwd)
		return nil
	}
	if !p.restarting {
		if err := p.restart(); err != nil {
			return err
		}
	}
	p.remote, p.restarting = current, false
	return p.agent.SetRemoteCredentials(ufrag, pwd)
}

func (p *peer) takeCandidate(value string) error {
	if p.restarting {
		// Of the generation that ended here: the other side's new one begins with
		// its credentials.
		return nil
	}
	candidate, err := ice.UnmarshalCandidate(value)
	if err != nil {
		return fmt.Errorf("candidate: %w", err)
	}
	return p.agent.AddRemoteCandidate(candidate)
}

func (p *peer) send(text string) error {
	select {
	case <-p.connected:
	default:
		return errors.New("send: not connected")
	}
	written, err := p.conn.Write([]byte(text))
	if err == nil && written < len(text) {
		return errors.New("send: no valid pair")
	}
	return err
}

func (p *peer) restart() error {
	if p.remote == "" {
		return errors.New("restart: not started yet")
	}
	// A gathering that pion cancels would end the next one early.
	<-p.gathered
	p.restarting = true
	if err := p.agent.Restart("", ""); err != nil {
		return err
	}
	return p.gather()
}

// connect waits for the first selected pair, then prints what arrives.
func (p *peer) connect(ufrag, pwd string) {
	start := p.agent.Accept
	if p.options.controlling() {
		start = p.agent.Dial
	}
	conn, err := start(context.Background(), ufrag, pwd)
	if err != nil {
		complainUnlessClosed(err)
		return
	}
	p.conn = conn
	close(p.connected)

	buffer := make([]byte, receiveBuffer)
	for {
		n, err := conn.Read(buffer)
		if err != nil {
			complainUnlessClosed(err)
			return
		}
		say("recv " + string(buffer[:n]))
		if p.options.echo {
			if _, err := conn.Write(buffer[:n]); err != nil {
				complainUnlessClosed(err)
			}
		}
	}
}

func (p *peer) close() {
	if err := p.agent.Close(); err != nil {
		complain(err)
	}
	select {
	case <-p.closed:
	case <-time.After(closeGrace):
		complain(errors.New("close: the agent did not report its end"))
		os.Exit(1)
	}
}

var stdout sync.Mutex

// say prints one line of the protocol.
func say(line string) {
	line = strings.ToValidUTF8(line, "\uFFFD")
	line = strings.NewReplacer("\r", " ", "\n", " ").Replace(line)
	stdout.Lock()
	defer stdout.Unlock()
	if _, err := os.Stdout.WriteString(line + "\n"); err != nil {
		os.Exit(1)
	}
}

func complain(err error) { say("error " + err.Error()) }

// complainUnlessClosed keeps silent about the reads and writes that a close ends.
func complainUnlessClosed(err error) {
	if errors.Is(err, ice.ErrClosed) || errors.Is(err, net.ErrClosed) || errors.Is(err, io.EOF) {
		return
	}
	complain(err)
}

// must marks calls that cannot fail in this version of pion.
func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "pion-peer:", err)
		os.Exit(1)
	}
}
