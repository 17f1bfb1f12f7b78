"""Makes the small PyTorch files that GLENTensorTests and GLENModelTests read.

    python Tests/Parity/make_pytorch_checkpoints.py

writes into Tests/GLENTensorTests/Fixtures/PyTorch, and a small T5 in both of Hugging Face's forms
into Tests/GLENModelTests/Fixtures/OldFolder. The numbers of the former are such that float16 and bfloat16
hold them exactly, so that every form must give the same values.
"""

import collections
import io
import struct
import zipfile
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import T5Config, T5ForConditionalGeneration

folder = Path(__file__).parent.parent / "GLENTensorTests" / "Fixtures" / "PyTorch"


def state_dictionary():
    matrix = torch.arange(12, dtype=torch.float32).reshape(3, 4) - 4.5
    state = collections.OrderedDict()
    state["shared.weight"] = matrix
    state["encoder.embed_tokens.weight"] = matrix
    state["equal"] = matrix.clone()
    state["transposed"] = matrix.t()
    state["rows"] = matrix[1:]
    state["column"] = matrix[:, 1]
    state["half"] = matrix.half()
    state["brain"] = matrix.bfloat16()
    state["parameter"] = torch.nn.Parameter(matrix.clone())
    state["scalar"] = torch.tensor(2.5)
    state["empty"] = torch.zeros(0, 4)
    state["whole"] = torch.arange(3)
    return state


def widened(archive):
    """The same archive with all sizes and places in ZIP64's 64-bit fields."""
    end = archive.rindex(b"PK\x05\x06")
    count, size, start = struct.unpack_from("<HII", archive, end + 10)
    body, directory, position = archive[:start], b"", start
    for _ in range(count):
        name, extra, comment = struct.unpack_from("<HHH", archive, position + 28)
        packed, plain = struct.unpack_from("<II", archive, position + 20)
        place = struct.unpack_from("<I", archive, position + 42)[0]
        header = bytearray(archive[position:position + 46])
        struct.pack_into("<II", header, 20, 0xFFFFFFFF, 0xFFFFFFFF)
        struct.pack_into("<HH", header, 30, 28, 0)
        struct.pack_into("<I", header, 42, 0xFFFFFFFF)
        directory += bytes(header) + archive[position + 46:position + 46 + name]
        directory += struct.pack("<HHQQQ", 1, 24, plain, packed, place)
        position += 46 + name + extra + comment
    record = struct.pack(
        "<IQHHIIQQQQ", 0x06064B50, 44, 45, 45, 0, 0, count, count, len(directory), start)
    locator = struct.pack("<IIQI", 0x07064B50, 0, start + len(directory), 1)
    last = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    return body + directory + record + locator + last


class Malicious:
    def __reduce__(self):
        return (print, ("this must never be printed",))


folder.mkdir(parents=True, exist_ok=True)
torch.save(state_dictionary(), folder / "archive.bin")
torch.save(state_dictionary(), folder / "legacy.bin", _use_new_zipfile_serialization=False)
archive = (folder / "archive.bin").read_bytes()
(folder / "zip64.bin").write_bytes(widened(archive))
torch.save({"shared.weight": torch.ones(2), "code": Malicious()}, folder / "malicious.bin")
torch.save({"shared.weight": torch.ones(2), "step": 3}, folder / "number.bin")
with zipfile.ZipFile(io.BytesIO(archive)) as source:
    with zipfile.ZipFile(folder / "compressed.bin", "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            target.writestr(zipfile.ZipInfo(name), source.read(name), zipfile.ZIP_DEFLATED)

old = Path(__file__).parent.parent / "GLENModelTests" / "Fixtures" / "OldFolder"
old.mkdir(parents=True, exist_ok=True)
torch.manual_seed(1)
model = T5ForConditionalGeneration(
    T5Config(
        vocab_size=24, d_model=8, d_kv=3, d_ff=10, num_layers=1, num_decoder_layers=2, num_heads=2,
        relative_attention_num_buckets=4, relative_attention_max_distance=8))
model.config.to_json_file(old / "config.json")
torch.save(model.state_dict(), old / "pytorch_model.bin")
tensors = {k: v.clone() for k, v in model.state_dict().items() if "embed_tokens" not in k}
del tensors["lm_head.weight"]
save_file(tensors, old / "expected.safetensors")
for path in sorted([*folder.iterdir(), *old.iterdir()]):
    print(path.stat().st_size, path.name)
