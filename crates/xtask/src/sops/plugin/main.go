// A plugin for age, so that the plugin protocol is spoken with age's own implementation of it. Its recipient is its
// identity: a key of AES-GCM. It protects nothing.
package main

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"os"

	"filippo.io/age"
	"filippo.io/age/plugin"
)

const name = "roundtest"

type key struct{ aead cipher.AEAD }

func keyOf(data []byte) (*key, error) {
	block, err := aes.NewCipher(data)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	return &key{aead}, err
}

func (k *key) Wrap(fileKey []byte) ([]*age.Stanza, error) {
	nonce := make([]byte, k.aead.NonceSize())
	if _, err := rand.Read(nonce); err != nil {
		return nil, err
	}
	return []*age.Stanza{{Type: name, Body: k.aead.Seal(nonce, nonce, fileKey, nil)}}, nil
}

func (k *key) Unwrap(stanzas []*age.Stanza) ([]byte, error) {
	for _, stanza := range stanzas {
		size := k.aead.NonceSize()
		if stanza.Type != name || len(stanza.Body) < size {
			continue
		}
		if fileKey, err := k.aead.Open(nil, stanza.Body[:size], stanza.Body[size:], nil); err == nil {
			return fileKey, nil
		}
	}
	return nil, age.ErrIncorrectIdentity
}

func main() {
	if len(os.Args) == 2 && os.Args[1] == "new" {
		data := make([]byte, 32)
		if _, err := rand.Read(data); err != nil {
			panic(errors.New("no randomness"))
		}
		fmt.Println(plugin.EncodeRecipient(name, data))
		fmt.Println(plugin.EncodeIdentity(name, data))
		return
	}
	p, err := plugin.New(name)
	if err != nil {
		panic(err)
	}
	p.HandleRecipient(func(data []byte) (age.Recipient, error) { return keyOf(data) })
	p.HandleIdentity(func(data []byte) (age.Identity, error) { return keyOf(data) })
	os.Exit(p.Main())
}
