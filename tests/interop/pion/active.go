package main

import (
	"encoding/binary"
	"io"
	"net"
	"sync"
	"time"
)

const (
	// discardPort is what an active TCP candidate has for a port (RFC 6544 section 4.5).
	discardPort = 9
	// dialTimeout bounds the opening of a connection.
	dialTimeout = 5 * time.Second
	// queueLength bounds what waits for a connection to be opened, and what waits to be read.
	queueLength = 64
)

// activeMux is a TCP mux for pion that opens connections and accepts none. pion
// 2.3.1 has passive TCP candidates only, but hands their packets to whatever is
// in the place of its mux.
type activeMux struct {
	mu    sync.Mutex
	conns []*activeConn
}

func (m *activeMux) GetConnByUfrag(_ string, _ bool, local net.IP) (net.PacketConn, error) {
	conn := &activeConn{
		local:    local,
		streams:  map[string]*stream{},
		received: make(chan packet, queueLength),
		closed:   make(chan struct{}),
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.conns = append(m.conns, conn)
	return conn, nil
}

// RemoveConnByUfrag has nothing to do: pion closes the connections of its candidates.
func (m *activeMux) RemoveConnByUfrag(string) {}

func (m *activeMux) Close() error { return nil }

// localAddress is where the newest connection to an address comes from.
func (m *activeMux) localAddress(remote string) (string, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := len(m.conns) - 1; i >= 0; i-- {
		if address, ok := m.conns[i].localAddress(remote); ok {
			return address, true
		}
	}
	return "", false
}

// activeConn sends each packet over a TCP connection to its destination, which it
// opens for the first one, in frames of RFC 4571.
type activeConn struct {
	local    net.IP
	received chan packet
	closed   chan struct{}
	closing  sync.Once

	mu      sync.Mutex
	streams map[string]*stream
}

// stream is a connection, which may still be opening.
type stream struct {
	frames chan []byte
	// address is where it comes from, once it is open.
	address string
}

type packet struct {
	data []byte
	from net.Addr
}

func (c *activeConn) LocalAddr() net.Addr {
	return &net.TCPAddr{IP: c.local, Port: discardPort}
}

func (c *activeConn) localAddress(remote string) (string, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, ok := c.streams[remote]
	if !ok || s.address == "" {
		return "", false
	}
	return s.address, true
}

// WriteTo never waits: pion calls it in its one loop.
func (c *activeConn) WriteTo(data []byte, remote net.Addr) (int, error) {
	select {
	case <-c.closed:
		return 0, io.ErrClosedPipe
	default:
	}
	frame := make([]byte, 2+len(data))
	binary.BigEndian.PutUint16(frame, uint16(len(data)))
	copy(frame[2:], data)
	c.mu.Lock()
	s, ok := c.streams[remote.String()]
	if !ok {
		s = &stream{frames: make(chan []byte, queueLength)}
		c.streams[remote.String()] = s
		go c.run(s, remote)
	}
	c.mu.Unlock()
	select {
	case s.frames <- frame:
	default:
		// A queue that is full is a lost packet.
	}
	return len(data), nil
}

// run opens a connection and carries its packets until it ends. The next packet opens another one.
func (c *activeConn) run(s *stream, remote net.Addr) {
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.streams, remote.String())
	}()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: c.local}, Timeout: dialTimeout}
	conn, err := dialer.Dial("tcp", remote.String())
	if err != nil {
		return
	}
	c.mu.Lock()
	s.address = conn.LocalAddr().String()
	c.mu.Unlock()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.readAll(conn, remote)
	}()
	defer func() {
		conn.Close()
		<-ended
	}()
	for {
		select {
		case frame := <-s.frames:
			if _, err := conn.Write(frame); err != nil {
				return
			}
		case <-ended:
			return
		case <-c.closed:
			return
		}
	}
}

func (c *activeConn) readAll(conn net.Conn, remote net.Addr) {
	head := make([]byte, 2)
	for {
		if _, err := io.ReadFull(conn, head); err != nil {
			return
		}
		data := make([]byte, binary.BigEndian.Uint16(head))
		if _, err := io.ReadFull(conn, data); err != nil {
			return
		}
		select {
		case c.received <- packet{data, remote}:
		case <-c.closed:
			return
		}
	}
}

func (c *activeConn) ReadFrom(buffer []byte) (int, net.Addr, error) {
	select {
	case p := <-c.received:
		return copy(buffer, p.data), p.from, nil
	case <-c.closed:
		return 0, nil, io.ErrClosedPipe
	}
}

func (c *activeConn) Close() error {
	c.closing.Do(func() { close(c.closed) })
	return nil
}

func (c *activeConn) SetDeadline(time.Time) error      { return nil }
func (c *activeConn) SetReadDeadline(time.Time) error  { return nil }
func (c *activeConn) SetWriteDeadline(time.Time) error { return nil }
