#!/usr/bin/env python3
"""Writes the recorded templates as seeds: template_seeds.py RECORDED CORPUS"""
import hashlib, json, os, sys

recorded, corpus = sys.argv[1:]
for name, key in (("text.jsonl", "text"), ("html.jsonl", "page")):
    with open(os.path.join(recorded, name)) as lines:
        for line in lines:
            text = json.loads(line)[key].encode()
            with open(os.path.join(corpus, hashlib.sha1(text).hexdigest()), "wb") as seed:
                seed.write(text)
