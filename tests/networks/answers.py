"""Computes ONNX files with onnxruntime, for onnx.rs: it asks with a line of JSON, and gets one."""

import json
import sys

import numpy
import onnxruntime

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
for line in sys.stdin:
    asked = json.loads(line)
    session = onnxruntime.InferenceSession(asked["model"], options, providers=["CPUExecutionProvider"])
    value = numpy.fromfile(asked["input"], asked["dtype"]).reshape(asked["shape"])
    answers = session.run(asked["outputs"], {session.get_inputs()[0].name: value})
    print(json.dumps([answer.ravel().tolist() for answer in answers]), flush=True)
