// Command chserver runs the ClickHouse engine of libchdb behind ClickHouse's native TCP protocol, so that tests talk
// to a real engine where no clickhouse-server can be had. It is for tests: one engine, loopback, no TLS, no users
// but one.
//
//	chserver -lib libchdb.so -data DIR -listen 127.0.0.1:0
//
// When it serves it prints one line on standard output, "ready ADDR VERSION". Data survive SIGKILL as they do in
// ClickHouse itself.
//
// For tests of outages:
//
//	SIGUSR1  hang: connections stay open, nothing is answered; again: go on
//	SIGUSR2  commit the next insert, then die (SIGKILL) before it is acknowledged
//
// A line on standard output tells when that is so: "hanging", "answering", "dying".
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

func main() {
	var s server
	libPath := flag.String("lib", "", "path of libchdb.so (see fetch.sh)")
	flag.StringVar(&s.data, "data", "", "data directory; empty for a temporary one")
	flag.StringVar(&s.config, "config", "", "configuration file of the engine, such as one that names users whose rights views can be given")
	listen := flag.String("listen", "127.0.0.1:0", "address of the native protocol")
	flag.BoolVar(&s.onCluster, "on-cluster", false, "carry out statements ON CLUSTER, of clusters that have no server but this: clickhouse-server's queue for them is not in the engine")
	flag.StringVar(&s.user, "user", "", "the only user let in; empty lets anyone in")
	flag.StringVar(&s.password, "password", "", "the password of -user")
	untilEOF := flag.Bool("until-eof", false, "exit when standard input ends, so that no server outlives the test that started it")
	flag.Parse()
	log.SetFlags(0)
	log.SetPrefix("chserver: ")
	if err := run(&s, *libPath, *listen, *untilEOF); err != nil {
		log.Fatal(err)
	}
}

func run(s *server, libPath, listen string, untilEOF bool) error {
	if err := load(libPath); err != nil {
		return err
	}
	if s.data == "" {
		dir, err := os.MkdirTemp("", "chserver")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		s.data = dir
	}
	if err := s.start(); err != nil {
		return err
	}
	ln, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	stop := make(chan struct{})
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGINT, syscall.SIGTERM)
	fmt.Printf("ready %s %s\n", ln.Addr(), strings.TrimSpace(s.version))
	go func() {
		for sig := range signals {
			switch sig {
			case syscall.SIGUSR1:
				if s.gate.toggle() {
					fmt.Println("hanging")
				} else {
					fmt.Println("answering")
				}
			case syscall.SIGUSR2:
				s.dieAfterCommit.Store(true)
				fmt.Println("dying")
			default:
				close(stop)
				return
			}
		}
	}()
	if untilEOF {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			signals <- syscall.SIGTERM
		}()
	}
	go func() {
		<-stop
		ln.Close()
	}()
	for {
		c, err := ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil // the engine is left as it is: it has to bear SIGKILL anyway
		}
		if err != nil {
			return err
		}
		go s.serve(c)
	}
}
