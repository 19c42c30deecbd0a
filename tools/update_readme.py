"""Write the committed numbers into README*.md, docs/architecture.md, docs/reliability.md,
docs/paper-study.md and docs/report*.md, between the marks of each generated part.

    python tools/update_readme.py
"""

import re
from functools import partial
from pathlib import Path

from parts import ablation, analysis, plain, proof, results, speed, study, system
from parts.committed import Part
from parts.korean import write_korean

ROOT = Path(__file__).resolve().parents[1]
README = {
    "proof": proof.write_proof,
    "ablation": ablation.write_ablation,
    "difference": results.write_difference,
    "shipped": results.write_shipped,
    "speed_goals": speed.write_speed_goals,
}
STUDY = {
    "data": study.write_data,
    "averages": study.write_averages,
    "shapes": study.write_shapes,
    "layers": study.write_layers,
    "parts": study.write_parts,
    "fusion": study.write_fusion,
    "variants": study.write_variants,
    "recipes": study.write_recipes,
    "uncertainty": study.write_uncertainty,
    "repeats": ablation.write_repeats,
}
REPORT = {
    "published": results.write_published,
    "choice": ablation.write_choice,
    "results": results.write_results,
    "proof": proof.write_proof,
    "shipped": results.write_shipped,
    "libraries": system.write_libraries,
    "system": system.write_system,
    "data": study.write_data,
    "recipes": study.write_recipes,
    "kinds": analysis.write_kinds,
    "strata": analysis.write_strata,
    "analysis": analysis.write_analysis,
    "predictions": proof.write_predictions,
    "proof_more": proof.write_proof_more,
    "proof_strata": proof.write_proof_strata,
    "tail": proof.write_tail,
    "cost": results.write_cost,
    "scored_recipes": proof.write_scored_recipes,
    "ablation": ablation.write_ablation,
    "progress": ablation.write_progress,
    "ranking": ablation.write_ranking,
    "earlier": ablation.write_earlier,
    "speed": speed.write_speed,
    "prediction": speed.write_prediction,
    "difficulty": results.write_difficulty,
    "seed_table": proof.write_seed_table,
    "remedies": analysis.write_remedies,
    "warnings": results.write_warnings,
}
PRINTED = ("difference",)  # parts that DVC prints, whatever the language


def main() -> None:
    for document in PARTS:
        path = ROOT / document
        path.write_text(fill(path.read_text(encoding="utf-8"), ROOT, document), encoding="utf-8")


def fill(text: str, root: Path, document: str = "README.md") -> str:
    """The text with each part `<!-- NAME -->...<!-- /NAME -->` of the document written anew."""
    for name, write in PARTS[document].items():
        pattern = rf"<!-- {name} -->.*?<!-- /{name} -->"
        if not re.search(pattern, text, re.DOTALL):
            raise ValueError(f"{document} has no part <!-- {name} -->...<!-- /{name} -->")
        part = f"<!-- {name} -->\n{write(root)}\n<!-- /{name} -->"
        text = re.sub(pattern, lambda _, part=part: part, text, flags=re.DOTALL)
    return text


def translate_parts(parts: dict[str, Part]) -> dict[str, Part]:
    """The same parts in Korean."""
    return {
        name: write if name in PRINTED else partial(write_korean, write)
        for name, write in parts.items()
    }


PARTS = {  # of each document, and what writes them
    "README.md": README,
    "README.ko.md": translate_parts(README),
    "docs/architecture.md": {"modules": system.write_modules},
    "docs/reliability.md": {"faults": system.write_faults},
    "docs/paper-study.md": STUDY,
    "docs/report.md": REPORT | {"plain": partial(plain.write_plain, language="en")},
    "docs/report.ko.md": translate_parts(REPORT)
    | {"plain": partial(plain.write_plain, language="ko")},
}

if __name__ == "__main__":
    main()
