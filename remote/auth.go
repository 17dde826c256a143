package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"cw/fault"
)

// maxAgentKeys bounds the keys of an agent that are offered: sshd hangs up
// after six attempts, MaxAuthTries.
const maxAgentKeys = 4

// secrets are what was typed at the terminal, each asked for once per run.
type secrets struct {
	prompt  func(context.Context, string) (string, error)
	asking  sync.Mutex // one question at a time
	opening sync.Mutex // one key at a time
	mu      sync.Mutex
	known   map[string]string
	keys    map[string]ssh.Signer // decrypted key files by path
}

// ask returns the secret of that id; a first use asks for it.
func (s *secrets) ask(ctx context.Context, id, question string) (string, error) {
	s.asking.Lock()
	defer s.asking.Unlock()
	if v, ok := s.get(id); ok {
		return v, nil
	}
	if s.prompt == nil {
		return "", errors.New("nobody to ask")
	}
	v, err := s.prompt(ctx, question)
	if err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known[id] = v
	return v, nil
}

func (s *secrets) get(id string) (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.known[id]
	return v, ok
}

// forget drops a secret that turned out wrong, unless it was replaced already.
func (s *secrets) forget(id, wrong string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known[id] == wrong {
		delete(s.known, id)
	}
}

// readSecretFile returns the first line of a file.
func readSecretFile(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", fault.Wrap(fault.Usage, "", fmt.Errorf("read the password file: %w", err))
	}
	line, _, _ := bytes.Cut(b, []byte("\n"))
	return strings.TrimSuffix(string(line), "\r"), nil
}

// attempt is the authentication of one handshake.
type attempt struct {
	ctx     context.Context
	e       *endpoint
	secrets *secrets
	pause   func(func()) // stops the handshake's clock while a person types
	tried   []string
	agent   io.Closer // connection to the agent, for the time of the handshake
	err     error     // what stopped it before the server could refuse
}

func (a *attempt) close() {
	if a.agent != nil {
		_ = a.agent.Close()
	}
}

// methods are the ways to log in, in OpenSSH's order.
func (a *attempt) methods() []ssh.AuthMethod {
	methods := []ssh.AuthMethod{ssh.PublicKeysCallback(a.signers)}
	if a.e.passwordFile == "" && a.secrets.prompt == nil {
		return methods
	}
	tries := 1
	if a.e.passwordFile == "" {
		tries = 3
	}
	var last string
	password := func() (string, error) {
		if last != "" {
			a.secrets.forget(a.passwordID(), last)
		}
		var err error
		last, err = a.password()
		return last, err
	}
	interactive := func(_, _ string, questions []string, echos []bool) ([]string, error) {
		answers := make([]string, len(questions))
		for i := range questions {
			if echos[i] {
				return nil, fmt.Errorf("the server asks %q", questions[i])
			}
			var err error
			if answers[i], err = password(); err != nil {
				return nil, err
			}
		}
		return answers, nil
	}
	return append(methods,
		ssh.RetryableAuthMethod(ssh.PasswordCallback(password), tries),
		ssh.RetryableAuthMethod(ssh.KeyboardInteractive(interactive), tries))
}

// passwordID makes one typed password do for all hosts of a user.
func (a *attempt) passwordID() string { return "password of " + a.e.user }

func (a *attempt) password() (secret string, err error) {
	a.tried = appendNew(a.tried, "password")
	if a.e.passwordFile != "" {
		secret, err = readSecretFile(a.e.passwordFile)
	} else {
		a.pause(func() {
			secret, err = a.secrets.ask(a.ctx, a.passwordID(), fmt.Sprintf("Password of %s@%s: ", a.e.user, a.e.host))
		})
	}
	if err != nil {
		a.err = err
	}
	return secret, err
}

// signers lists the keys to offer: first the named files (by the agent when
// it holds them, which saves a passphrase), then the rest of the agent, then
// OpenSSH's default files.
func (a *attempt) signers() ([]ssh.Signer, error) {
	held := a.agentSigners()
	var files, others []ssh.Signer
	for _, path := range a.e.identities {
		pub, signer, err := a.keyFile(path)
		if err != nil {
			if a.e.chosen {
				a.err = err
				return nil, err
			}
			continue
		}
		if signer == nil {
			continue // a default that is not there
		}
		if i := indexKey(held, pub); i >= 0 {
			signer = held[i]
			held = append(held[:i:i], held[i+1:]...)
		}
		a.tried = append(a.tried, path)
		files = append(files, signer)
	}
	if !a.e.identitiesOnly {
		others = held[:min(len(held), maxAgentKeys)]
		if len(others) > 0 {
			a.tried = append(a.tried, fmt.Sprintf("%d keys of the agent", len(others)))
		}
	}
	if a.e.chosen {
		return append(files, others...), nil
	}
	return append(others, files...), nil
}

func (a *attempt) agentSigners() []ssh.Signer {
	socket := os.Getenv("SSH_AUTH_SOCK")
	if socket == "" {
		return nil
	}
	conn, err := (&net.Dialer{}).DialContext(a.ctx, "unix", socket)
	if err != nil {
		return nil // an agent that has gone is as good as none
	}
	a.agent = conn
	signers, err := agent.NewClient(conn).Signers()
	if err != nil {
		return nil
	}
	return signers
}

// keyFile reads a private key. Of an encrypted one only the public half is
// read; the passphrase is asked for when the server accepts that.
func (a *attempt) keyFile(path string) (ssh.PublicKey, ssh.Signer, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && !a.e.chosen {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, fault.Wrap(fault.Auth, "", fmt.Errorf("read the identity file: %w", err))
	}
	signer, err := ssh.ParsePrivateKey(text)
	var locked *ssh.PassphraseMissingError
	switch {
	case err == nil:
		return signer.PublicKey(), signer, nil
	case !errors.As(err, &locked):
		return nil, nil, fault.New(fault.Auth, "make a key with: ssh-keygen -t ed25519", "identity file %s is not a private key: %w", path, err)
	}
	pub := locked.PublicKey
	if side, err := os.ReadFile(path + ".pub"); pub == nil && err == nil {
		pub, _, _, _, _ = ssh.ParseAuthorizedKey(side) // without one the key is opened below
	}
	key := &lockedKey{path: path, text: text, pub: pub, a: a}
	if pub == nil { // an old PEM file without its .pub
		signer, err := key.open()
		if err != nil {
			return nil, nil, err
		}
		return signer.PublicKey(), signer, nil
	}
	return pub, key, nil
}

func indexKey(signers []ssh.Signer, pub ssh.PublicKey) int {
	for i, s := range signers {
		if bytes.Equal(s.PublicKey().Marshal(), pub.Marshal()) {
			return i
		}
	}
	return -1
}

func appendNew(list []string, s string) []string {
	for _, have := range list {
		if have == s {
			return list
		}
	}
	return append(list, s)
}

// lockedKey is an encrypted key file that asks for its passphrase when it has
// to sign.
type lockedKey struct {
	path string
	text []byte
	pub  ssh.PublicKey
	a    *attempt
}

func (k *lockedKey) PublicKey() ssh.PublicKey { return k.pub }

func (k *lockedKey) Sign(rand io.Reader, data []byte) (*ssh.Signature, error) {
	return k.SignWithAlgorithm(rand, data, "")
}

func (k *lockedKey) SignWithAlgorithm(rand io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	signer, err := k.open()
	if err != nil {
		k.a.err = err
		return nil, err
	}
	if as, ok := signer.(ssh.AlgorithmSigner); ok && algorithm != "" {
		return as.SignWithAlgorithm(rand, data, algorithm)
	}
	return signer.Sign(rand, data)
}

// open decrypts the key, once for all hosts: that takes long on purpose. The
// handshake's clock stands still meanwhile.
func (k *lockedKey) open() (signer ssh.Signer, err error) {
	k.a.pause(func() { signer, err = k.openOnce() })
	return signer, err
}

// openOnce asks for at most three passphrases.
func (k *lockedKey) openOnce() (signer ssh.Signer, err error) {
	s := k.a.secrets
	s.opening.Lock()
	defer s.opening.Unlock()
	if signer = s.key(k.path); signer != nil {
		return signer, nil
	}
	id := "passphrase of " + k.path
	for range 3 {
		phrase, err := s.ask(k.a.ctx, id, fmt.Sprintf("Passphrase of %s: ", k.path))
		if err != nil {
			return nil, fault.New(fault.Auth, "add the key to the agent: ssh-add "+quoteWord(k.path), "open the identity file %s: %w", k.path, err)
		}
		if signer, err = ssh.ParsePrivateKeyWithPassphrase(k.text, []byte(phrase)); err == nil {
			s.keep(k.path, signer)
			return signer, nil
		}
		s.forget(id, phrase)
	}
	return nil, fault.New(fault.Auth, "", "open the identity file %s: three wrong passphrases", k.path)
}

func (s *secrets) key(path string) ssh.Signer {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keys[path]
}

func (s *secrets) keep(path string, signer ssh.Signer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys[path] = signer
}
